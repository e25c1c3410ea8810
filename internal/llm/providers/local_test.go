package providers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
	"github.com/distillflow/distillflow/internal/llm/local"
	"github.com/distillflow/distillflow/internal/llm/local/localtest"
)

// A local model's answers are remembered by what the model holds: they survive a move, and
// do not outlive a change. Offline only they are given. It costs nothing, so that a dollar
// budget needs no price, and it never sees a hint.
func TestLocal(t *testing.T) {
	dir := localtest.Folder(t)
	memo, models := &llmtest.Memo{}, &local.Models{}
	open := func(dir string, env string) *Caller {
		t.Helper()
		s := one(Fallback{Model: "local/" + dir, Concurrency: 4})
		s.Device, s.Timeout, s.Limits = "cpu", 1, llm.Limits{USD: 1} // a nanosecond, which does not count
		c, err := New(t.Context(), s, Services{Memo: memo, Models: models, Getenv: func(name string) string {
			if name == OfflineEnv {
				return env
			}
			return ""
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	request := func(text string) llm.Request {
		return llm.Request{MaxTokens: 5, Messages: []llm.Message{{Role: llm.RoleUser, Content: text}}, Hint: &llm.Hint{Gold: "gold"}}
	}
	c := open(dir, "")
	first, err := c.Complete(t.Context(), request("abc"))
	if err != nil || len(first.Text) == 0 || first.Provider != "local/"+dir {
		t.Fatalf("%+v %v", first, err)
	}
	if st := c.Stats(); st.Calls != 1 || st.USD != 0 || st.PromptTokens != first.Usage.PromptTokens {
		t.Errorf("%+v", st)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	c = open(moved, "1")
	if r, err := c.Complete(t.Context(), request("abc")); err != nil || r.Text != first.Text || c.Stats().MemoHits != 1 {
		t.Errorf("moved: %+v %v", r, err)
	}
	if _, err := c.Complete(t.Context(), request("new")); llm.KindOf(err) != llm.KindUnrecorded {
		t.Errorf("offline: %v", err)
	}
	localtest.Put(t, moved, "generation_config.json", `{"eos_token_id": 9}`)
	c = open(moved, "")
	if _, err := c.Complete(t.Context(), request("abc")); err != nil || c.Stats().MemoHits != 0 || memo.Len() != 2 {
		t.Errorf("changed: %+v %v, %d kept", c.Stats(), err, memo.Len())
	}
}

func TestLocalConfig(t *testing.T) {
	base := func() Options { return Options{Model: "local//m", Device: "auto"} }
	if err := base().Validate(0, ""); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Options){
		`unknown setting "x"`:        func(o *Options) { o.Model += "?x=1" },
		"base_url: base_url does":    func(o *Options) { o.BaseURL = "http://localhost" },
		"endpoint: endpoint does":    func(o *Options) { o.Endpoint = "mine" },
		"fallback: tokens_field":     func(o *Options) { o.Fallback = []Fallback{{Model: "local//n", TokensField: "max_tokens"}} },
		"fallback: model \"local/n?": func(o *Options) { o.Fallback = []Fallback{{Model: "local/n?adapter="}} },
		`device: device "tpu"`:       func(o *Options) { o.Device = "tpu" },
	} {
		o := base()
		change(&o)
		if err := o.Validate(0, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	o := base()
	o.Model = "openai/m"
	o.Fallback = []Fallback{{Model: "local/" + localtest.Folder(t)}}
	files, err := o.LocalFiles(t.Context())
	if err != nil || len(files) != 4 || files[0].Name != "local-1/model/config.json" {
		t.Errorf("%v %v", files, err)
	}
	if got := o.Teachers(); len(got) != 1 {
		t.Errorf("teachers %v", got)
	}
	if _, err := base().LocalFiles(t.Context()); err == nil || !strings.Contains(err.Error(), "model: model /m") {
		t.Errorf("%v", err)
	}
}
