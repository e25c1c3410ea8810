package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/schema"
)

// judging stands for a judge: every n-th of 12 paths in two styles is sound.
type judgingConfig struct {
	N int `json:"n" default:"1" min:"1" doc:"Every so many."`
}

type judgingOut struct {
	Valid   *stage.Writer[schema.Problem] `port:"valid" doc:"Sound."`
	Invalid *stage.Writer[schema.Problem] `port:"invalid" doc:"Not."`
}

var judging = stage.Define(stage.Spec{Type: "judging", Version: 1, Class: stage.Pure, Doc: "A judge for tests."},
	func(_ context.Context, _ *stage.Env, c judgingConfig, _ struct{}, out judgingOut) error {
		for i := range 6 {
			for k, style := range []string{"cot", "plain"} {
				sound := (2*i+k)%c.N == 0
				p := schema.Problem{ID: fmt.Sprint(i), Paths: []schema.Path{{Style: style, Pred: "4", Judge: &schema.Judge{Valid: sound, Reason: "as it is"}}}}
				w := out.Invalid
				if sound {
					w = out.Valid
				}
				if err := w.Write(p); err != nil {
					return err
				}
			}
		}
		return nil
	})

// testing stands for evaluate-students and posrate.
type testingConfig struct {
	Right bool   `json:"right" default:"false" doc:"The answers are right."`
	Key   string `json:"key" default:"" doc:"A secret."`
}

type testingOut struct {
	Scores      *stage.Writer[schema.Score]      `port:"scores" doc:"Scores."`
	Predictions *stage.Writer[schema.Prediction] `port:"predictions" doc:"Answers."`
	Rates       *stage.Writer[schema.Rate]       `port:"rates" doc:"Routing."`
}

var testingType = stage.Define(stage.Spec{Type: "testing", Version: 1, Class: stage.Pure, Doc: "Students for tests."},
	func(_ context.Context, _ *stage.Env, c testingConfig, _ struct{}, out testingOut) error {
		correct := map[bool]int{true: 3}[c.Right]
		err := errors.Join(
			out.Scores.Write(schema.Score{System: "llama", Kind: "trained", Task: "t", Count: 3, Correct: correct}),
			out.Rates.Write(schema.Rate{Epoch: 1, Style: "cot", Student: "llama", Routed: 9, Total: 9, Share: 1}),
			out.Rates.Write(schema.Rate{Style: "cot", Student: "llama", Routed: correct, Total: 3, Share: float64(correct) / 3}))
		for i := range 3 {
			err = errors.Join(err,
				out.Predictions.Write(schema.Prediction{ID: fmt.Sprint(i), Task: "t", System: "llama", Kind: "trained", Style: "cot", Pred: "5", Gold: "5", Correct: c.Right}),
				out.Predictions.Write(schema.Prediction{ID: fmt.Sprint(i), Task: "t", System: "llama", Kind: "sample", Sample: 1}))
		}
		return err
	})

func TestRuns(t *testing.T) {
	dir := t.TempDir()
	reg, err := stage.NewRegistry(judging, testingType)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name, text string) *runrecord.Run {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		eng := &flow.Engine{Registry: reg, MemoDir: filepath.Join(dir, "memo")}
		g, r, diags := eng.Load(file, recipe.Options{})
		if g == nil {
			var b strings.Builder
			_ = diags.Render(&b, r.Sources)
			t.Fatal(b.String())
		}
		res, err := eng.Run(t.Context(), g, flow.RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Close(); err != nil {
			t.Fatal(err)
		}
		st, err := store.Open(filepath.Join(dir, ".distillflow"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		info, err := runrecord.Find(st, "last")
		if err != nil {
			t.Fatal(err)
		}
		opened, err := runrecord.Open(st, reg, info.ID)
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	a := run("a.yaml", "seed: 1\nparams: {n: 1, same: x}\nstages:\n  judged: {uses: judging, with: {n: '${{ params.n }}'}}\n  eval: {uses: testing, with: {key: sk-1}}\n  gone: {uses: judging}\n")
	b := run("b.yaml", "seed: 2\nparams: {n: 3, same: x, more: [1]}\nstages:\n  judged: {uses: judging, with: {n: '${{ params.n }}'}}\n  eval: {uses: testing, with: {right: true}}\n  later: {uses: testing}\n")
	c, err := Runs([]*runrecord.Run{a, b, a}, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(struct {
		P any
		S any
	}{c.Params, c.Stages})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"P":[{"name":"seed","values":[1,2,1]},{"name":"params.n","values":[1,3,1]},{"name":"params.more","values":[null,[1],null]}],` +
		`"S":[{"run":"B","stage":"judged","change":"changed","why":["n 1 -\u003e 3"]},` +
		`{"run":"B","stage":"eval","change":"changed","why":["key \"***\" -\u003e not set","right not set -\u003e true"]},` +
		`{"run":"B","stage":"later","change":"added","why":[]},{"run":"B","stage":"gone","change":"removed","why":[]}]}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Same{{"C", "judged"}, {"C", "eval"}, {"C", "gone"}}, c.Same); d != "" {
		t.Error(d)
	}
	var tests []string
	for _, x := range c.Tests {
		tests = append(tests, fmt.Sprintf("%s %s %q: %d problems, %d records, %d to %d, -%d +%d, p %.2g", x.Run, x.Stage, x.Group, x.Problems, x.Records, x.RightA, x.RightB, x.Lost, x.Gained, x.P))
	}
	if d := cmp.Diff([]string{
		`B judged "": 6 problems, 12 records, 12 to 4, -8 +0, p 0.031`,
		`B judged "cot": 6 problems, 6 records, 6 to 2, -4 +0, p 0.12`,
		`B judged "plain": 6 problems, 6 records, 6 to 2, -4 +0, p 0.12`,
		`B eval "llama, style cot": 3 problems, 3 records, 0 to 3, -0 +3, p 0.25`,
	}, tests); d != "" {
		t.Error(d)
	}
	if len(c.Flips) != 3 || c.Flips[0].ID != "1" || c.Flips[0].B.Reason != "as it is" || !c.Flips[2].Gained {
		t.Errorf("flips %+v", c.Flips)
	}
	if m := c.Metrics; len(m) != 2 || m[0].Output != "eval.scores" || m[0].Values[0].Accuracy != 0 || m[0].Values[1].Accuracy != 1 || m[1].Values[0] != nil || m[1].Values[1] == nil {
		t.Errorf("metrics %+v", m)
	}
	if r := c.Routing; len(r) != 2 || *r[0].Values[0] != 0 || *r[0].Values[1] != 1 || r[1].Values[0] != nil {
		t.Errorf("routing %+v", r)
	}
}
