package llmstage

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/providers"
)

// Options are the config fields that every stage which asks a language model has in
// common. A stage embeds them in its config, which thereby gets the methods by which the
// engine asks for outside files, revisions and keys.
type Options struct {
	providers.Options
	OnError    string     `json:"on_error" default:"keep_going" choices:"keep_going|fail_fast" doc:"What to do about a request that failed after its retries: keep_going sets its path apart with the cause and goes on; fail_fast ends the stage. A wrong key, an empty budget or a provider that stays down always ends it."`
	Threshold  string     `json:"threshold" semantic:"false" doc:"Share of requests that may fail, for example 2%; a larger share ends the stage. Checked from the hundredth request on and at the end. Empty: no limit."`
	APIKeyFile stage.Path `json:"api_key_file" semantic:"false" doc:"File with the API key; takes precedence over the environment."`
	PriceFile  stage.Path `json:"price_file" semantic:"false" doc:"YAML table of prices; takes precedence over the built-in one."`
}

// Check finds what the field tags cannot say. maxTokens is the stage's limit on one answer,
// 0 for none.
func (o Options) Check(maxTokens int) error {
	_, err := o.policy()
	return errors.Join(o.Options.Validate(maxTokens, string(o.PriceFile)), err)
}

// policy says which failures the stage goes on after.
func (o Options) policy() (llm.Policy, error) {
	v, err := llm.ParseThreshold(o.Threshold)
	p := llm.Policy{FailFast: o.OnError == "fail_fast", Threshold: v}
	switch {
	case err != nil:
		return p, stage.Invalid("threshold", "%v", err)
	case v > 0 && p.FailFast:
		return p, stage.Invalid("threshold", "on_error: fail_fast ends the stage at the first failure; remove one of the two")
	}
	return p, nil
}

// Whole implements [stage.Whole]: a budget and a threshold are for all rows together, and
// buying anew buys the answer to a request once, in whichever rows it occurs.
func (o Options) Whole() error {
	const why = "counts all requests of the stage together, which its shards cannot: leave one of the two out"
	switch {
	case o.Paid() && o.BudgetUSD > 0:
		return stage.Invalid("budget_usd", why)
	case o.Paid() && o.BudgetTokens > 0:
		return stage.Invalid("budget_tokens", why)
	case o.Paid() && o.BudgetRequests > 0:
		return stage.Invalid("budget_requests", why)
	case o.Threshold != "":
		return stage.Invalid("threshold", why)
	case o.Refresh:
		return stage.Invalid("refresh", "buys each answer once for the whole stage, which its shards cannot: leave one of the two out")
	}
	return nil
}

// Require implements [stage.Requirer]: the API key of every model that may be asked.
func (o Options) Require(getenv func(string) string) error {
	return o.CheckKeys(string(o.APIKeyFile), getenv)
}

// Reach implements [stage.Reaching]: the servers that are asked, and the keys they get.
func (o Options) Reach(getenv func(string) string) stage.Reach {
	var r stage.Reach
	file := string(o.APIKeyFile)
	if file != "" && !strings.ContainsRune(file, filepath.Separator) {
		file = "." + string(filepath.Separator) + file
	}
	for _, s := range o.Servers(file, getenv) {
		r.Servers = append(r.Servers, stage.Server(s))
	}
	return r
}

// Steered implements [stage.Steered].
func (o Options) Steered() []string { return providers.Steered }

// Externals implements [stage.Externals]: the files of local models.
func (o Options) Externals(ctx context.Context) ([]stage.External, error) {
	files, err := o.LocalFiles(ctx)
	var out []stage.External
	for _, f := range files {
		out = append(out, stage.External{Name: f.Name, Path: f.Path, Aside: f.Hub.Aside,
			Remote: stage.Remote{URL: f.Hub.URL, Cache: f.Hub.Cache, SHA256: f.Hub.SHA256, Bytes: f.Hub.Size, Heavy: f.Hub.Weights}})
	}
	return out, err
}

// Revisions implements [stage.Revisions]: behind which server each model was asked,
// and which commit a local model of the Hub is. What the server made of the model's
// name is the provider's affair; its answers are in the memo.
func (o Options) Revisions(ctx context.Context) ([]stage.Revision, error) {
	local, err := o.LocalRevisions(ctx)
	var out []stage.Revision
	for _, t := range append(o.Teachers(), local...) {
		out = append(out, stage.Revision{Name: t.Model, Resolved: t.Endpoint})
	}
	return out, err
}
