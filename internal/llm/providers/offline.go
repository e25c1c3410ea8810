package providers

import (
	"context"
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// OfflineEnv is the environment variable that forbids every call to a provider when it is
// neither empty nor 0. Answers then come from the memo alone, and no API key is looked for.
const OfflineEnv = "DISTILLFLOW_OFFLINE"

// offline reads [OfflineEnv].
func offline(getenv func(string) string) bool {
	if getenv == nil {
		return false
	}
	v := strings.TrimSpace(getenv(OfflineEnv))
	return v != "" && v != "0"
}

// cutOff makes settings and services fit for a process that may call nobody: what only
// matters to a call that is made is left out, so that files with keys and prices need not
// be there, and an answer that was bought under any name is taken.
func cutOff(s Settings, svc Services) (Settings, Services) {
	s.KeyFile, s.PriceFile, s.Limits, s.Mode = "", "", llm.Limits{}, ""
	svc.Scope, svc.Refresh = "", ""
	svc.Getenv = func(string) string { return "offline" } // in place of a key, which is never sent
	return s, svc
}

// absent stands for a provider that may not be called.
type absent struct{}

// Complete implements [llm.Client]: it says which prompt has no answer in the memo.
func (absent) Complete(_ context.Context, req llm.Request) (*llm.Response, error) {
	prompt := ""
	for _, m := range req.Messages {
		if m.Role == llm.RoleUser {
			prompt = m.Content
		}
	}
	const most = 100
	if r := []rune(prompt); len(r) > most {
		prompt = string(r[:most]) + "..."
	}
	return nil, &llm.Error{Kind: llm.KindUnrecorded, Message: fmt.Sprintf(
		"the memo holds no answer of model %s to the prompt %q, and %s forbids calls", req.Model, prompt, OfflineEnv)}
}
