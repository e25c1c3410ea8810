package train

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

func TestScoreGolden(t *testing.T) { golden(t, Score) }

// scoreOf is one number of a path's score.
func scoreOf(p schema.Path, name, field string) float64 {
	v := gjson.GetBytes(p.Extra.Get("scores"), name+"."+field)
	if !v.Exists() {
		return math.NaN()
	}
	return v.Float()
}

// What a student writes by itself it expects: it gives the text the loss with which it wrote
// it, and each token is its first choice. Before training it did not.
func TestScoreAgreesWithGeneration(t *testing.T) {
	dir := t.TempDir()
	var train, test []schema.Problem
	for _, q := range []struct{ question, answer string }{{"2 and 2?", "4"}, {"5 and 4?", "9"}} {
		paths := []schema.Path{{Style: "cot", Response: "The answer is " + q.answer + ".", FinishReason: "stop"}}
		train = append(train, schema.Problem{ID: q.question, Task: "gsm8k", Question: q.question, Paths: paths})
		test = append(test, schema.Problem{ID: "test " + q.question, Task: "gsm8k", Question: q.question, GoldAnswer: q.answer})
	}
	run := func(typ, cfg string, in map[string]stage.Input) map[string]string {
		out, err := runStage(t, t.Context(), typ, dir, cfg, 1, in, stage.Services{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	rows := writeRows(t, filepath.Join(dir, "train.jsonl"), train)
	for name, lora := range map[string]string{"whole": "", "adapters": `, "lora": {"r": 2}, "pretrain_steps": 100`} {
		out := run("train-sft", `{"d_model": 16, "layers": 1, "epochs": 120, "batch": 2, "lr": 0.02, "dev_fraction": 0, "select": "last"`+lora+`}`, map[string]stage.Input{"paths": rows})
		models := stage.Input{Path: out["models"], Label: "models"}
		ev := run("evaluate-students", `{"untrained": false}`, map[string]stage.Input{"models": models, "problems": writeRows(t, filepath.Join(dir, "test.jsonl"), test)})
		predictions := readRows[schema.Prediction](t, ev["predictions"])
		scored := readRows[schema.Problem](t, run("score", `{}`, map[string]stage.Input{"models": models, "problems": rows})["problems"])
		before := readRows[schema.Problem](t, run("score", `{"untrained": true}`, map[string]stage.Input{"models": models, "problems": rows})["problems"])
		for i, p := range predictions {
			if p.Response != train[i].Paths[0].Response {
				t.Fatalf("%s: learned %q", name, p.Response)
			}
			x := func(field string) float64 { return scoreOf(scored[i].Paths[0], "student", field) }
			if x("rank") != 1 || math.Abs(x("loss_per_byte")+p.LogProb) > 1e-6 {
				t.Errorf("%s: scores %s, written with %v a byte", name, scored[i].Paths[0].Extra.Get("scores"), p.LogProb)
			}
			if math.Abs(x("perplexity")-math.Exp(x("surprisal"))) > 1e-9 || math.Abs(x("rsr")*x("surprisal")-x("rank")) > 1e-9 {
				t.Errorf("%s: scores %s do not belong together", name, scored[i].Paths[0].Extra.Get("scores"))
			}
			if old := before[i].Paths[0]; !(scoreOf(old, "student", "rank") > 1 && scoreOf(old, "student", "surprisal") > x("surprisal")) {
				t.Errorf("%s: untrained %s", name, old.Extra.Get("scores"))
			}
		}
	}
}

// scoredBy runs the stage with the published model of the goldens.
func scoredBy(t *testing.T, cfg string, rows []schema.Problem) []schema.Problem {
	t.Helper()
	dir := t.TempDir()
	model, err := filepath.Abs(filepath.Join("testdata", "train-sft", "basic", "model"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := runStage(t, t.Context(), "score", dir, `{"model": "`+model+`"`+cfg+`}`, 42, map[string]stage.Input{
		"problems": writeRows(t, filepath.Join(dir, "rows.jsonl"), rows),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	return readRows[schema.Problem](t, out["problems"])
}

// keep takes the best of the paths that training would use, in the order in which they
// stood; batches do not change a score, and other models' scores stay.
func TestScoreKeep(t *testing.T) {
	rows := taught(t, 5, false)
	for i := range rows {
		rows[i].Paths[1].Judge = &schema.Judge{Valid: false}
	}
	rows[0].Paths[2].Response = strings.Repeat("7 + 7 = 14. ", 400) // longer than the model
	rows[1].Paths = nil
	all := scoredBy(t, "", rows)
	for i, p := range all {
		for k, x := range p.Paths {
			want := usable(rows[i].Paths[k], Quality{true, true}) && len(x.Response) < 4000
			if got := !math.IsNaN(scoreOf(x, "model", "rsr")); got != want {
				t.Errorf("problem %d, path %d: scored %v, want %v", i, k, got, want)
			}
		}
	}
	again := scoredBy(t, `, "name": "second", "batch": 3`, all)
	for i, p := range again {
		for k, x := range p.Paths {
			a, b := scoreOf(x, "model", "loss_per_byte"), scoreOf(x, "second", "loss_per_byte")
			if math.Abs(a-b) > 1e-5 || math.IsNaN(a) != math.IsNaN(b) {
				t.Errorf("problem %d, path %d: %v, then in batches of 3 %v", i, k, a, b)
			}
		}
	}
	for _, by := range []string{"rsr", "loss_per_byte", "perplexity"} {
		for i, p := range scoredBy(t, `, "keep": 2, "by": "`+by+`"`, rows) {
			var best []float64
			for _, x := range all[i].Paths {
				if v := scoreOf(x, "model", by); !math.IsNaN(v) {
					best = append(best, v)
				}
			}
			slices.Sort(best)
			best = best[:min(2, len(best))]
			var got []float64
			at := -1
			for _, x := range p.Paths {
				k := slices.IndexFunc(rows[i].Paths, func(y schema.Path) bool { return y.Style == x.Style })
				if k <= at {
					t.Errorf("by %s, problem %d: the order changed", by, i)
				}
				at = k
				got = append(got, scoreOf(x, "model", by))
			}
			slices.Sort(got)
			if !slices.Equal(got, best) {
				t.Errorf("by %s, problem %d: kept %v, want %v", by, i, got, best)
			}
		}
	}
}

func TestScoreConfigErrors(t *testing.T) {
	for want, cfg := range map[string]string{
		"model: takes the place": `{"model": "m", "student": "a"}`,
		"adapter: belongs":       `{"adapter": "."}`,
		"by: belongs to keep":    `{"by": "perplexity"}`,
		`name: "a/b" cannot`:     `{"name": "a/b"}`,
		`device: device "x"`:     `{"device": "x"}`,
	} {
		_, errs := Score.Decode(gjson.Parse(cfg).Value())
		if !slices.ContainsFunc(errs, func(e stage.FieldError) bool { return strings.Contains(e.Error(), want) }) {
			t.Errorf("%s: %v, want %q", cfg, errs, want)
		}
	}
}
