package llmstage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/llmstage"
)

// hintStage is a whole stage that asks a language model: what a new one looks like.
var hintStage = stage.Define(stage.Spec{Type: "hints", Version: 1, Class: stage.Sampled, Doc: `Asks for a hint to each question.`},
	func(ctx context.Context, env *stage.Env, c hintConfig, in hintIn, out hintOut) error {
		_, err := llmstage.Run(ctx, env, c.Options, in.Rows, func(row schema.Problem) llmstage.Work {
			w := c.work(&row)
			w.Done = func() error { return out.Rows.Write(row) }
			return w
		})
		return err
	})

type hintConfig struct {
	llmstage.Options
	MaxTokens int `json:"max_tokens" default:"200" min:"1" doc:"Most tokens of a hint."`
}

func (c hintConfig) Validate() error { return c.Check(c.MaxTokens) }

type hintIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type hintOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The same problems with the field hint."`
}

func (c hintConfig) work(row *schema.Problem) llmstage.Work {
	prompt := "Give a hint, not the answer: " + row.Question
	req := llm.Request{MaxTokens: c.MaxTokens, Messages: []llm.Message{{Role: llm.RoleUser, Content: prompt}}, Hint: &llm.Hint{Question: row.Question, Gold: row.GoldAnswer}}
	return llmstage.Work{Calls: []llmstage.Call{{Request: req, Answer: func(r *llm.Response, err error) {
		switch {
		case row.Question == "panic":
			panic("boom")
		case err == nil:
			row.Extra.Set("hint", schema.AppendString(nil, r.Text))
		}
	}}}}
}

func (c hintConfig) Estimate(ctx context.Context, q stage.Question) (stage.Estimate, error) {
	e, _, err := llmstage.Estimate(ctx, q, c.Options, "rows", func(row schema.Problem) llmstage.Work { return c.work(&row) })
	e.Rows = map[string]*stage.Range{"rows": q.Rows("rows")}
	return e, err
}

func run(t *testing.T, questions ...string) (rows []string, err error) {
	t.Helper()
	dir := t.TempDir()
	var in strings.Builder
	for i, q := range questions {
		fmt.Fprintf(&in, `{"id":"r%d","task":"gsm8k","question":%q,"gold_answer":"4"}`+"\n", i, q)
	}
	input, output := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(input, []byte(in.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(hintStage)
	if err != nil {
		t.Fatal(err)
	}
	_, err = reg.Run(t.Context(), stage.Task{Stage: "hints", Type: "hints", Version: 1, Config: json.RawMessage(`{}`), WorkDir: dir,
		Inputs: map[string][]stage.Input{"rows": {{Path: input, Label: "rows"}}}, Outputs: map[string]string{"rows": output}}, stage.Services{})
	for row, err := range stage.RowsFrom[schema.Problem](output, "out").All() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row.ID+" "+row.Extra.String("hint"))
	}
	return rows, err
}

func TestAThirdStage(t *testing.T) {
	rows, err := run(t, "one", "two", "three")
	if err != nil || len(rows) != 3 {
		t.Fatalf("%q, %v", rows, err)
	}
	for i, r := range rows {
		if !strings.HasPrefix(r, fmt.Sprintf("r%d ", i)) || len(r) < 10 {
			t.Errorf("row %d is %q", i, r)
		}
	}
}

// A panic while a row is asked for is the error of its stage, and nothing else ends.
func TestPanicIsTheStagesError(t *testing.T) {
	_, err := run(t, "one", "panic", "three")
	var p *parallel.PanicError
	if !errors.As(err, &p) || p.Value != "boom" {
		t.Errorf("got %v", err)
	}
}
