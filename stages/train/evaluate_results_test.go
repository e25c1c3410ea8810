package train

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/schema"
)

// said are a student's answers, one a letter: r right, w wrong, - none.
func said(s string) (out []answered) {
	for _, c := range s {
		switch c {
		case 'r':
			out = append(out, answered{pred: "1", correct: true})
		case 'w':
			out = append(out, answered{pred: "2"})
		default:
			out = append(out, answered{})
		}
	}
	return out
}

func graded(n int) (out []schema.Problem) {
	for i := range n {
		out = append(out, schema.Problem{ID: fmt.Sprint(i), Task: "gsm8k", GoldAnswer: "1"})
	}
	return out
}

// rightOf lists what systems say: r, w or - for each problem.
func rightOf(all []system) map[string]string {
	out := map[string]string{}
	for _, s := range all {
		for _, a := range s.answers {
			switch {
			case a.correct:
				out[s.name+"/"+s.kind] += "r"
			case a.pred != "":
				out[s.name+"/"+s.kind] += "w"
			default:
				out[s.name+"/"+s.kind] += "-"
			}
		}
	}
	return out
}

func TestSystems(t *testing.T) {
	for name, c := range map[string]struct {
		jobs   []job
		routed []int
		want   map[string]string
	}{
		"one student has neither ensemble nor oracle": {
			[]job{{name: "a", kind: kindTrained, answers: said("rw")}}, nil,
			map[string]string{"a/trained": "rw"},
		},
		"one student samples": {
			[]job{
				{name: "a", kind: kindTrained, answers: said("rw")},
				{name: "a", kind: kindSample, samples: 3, answers: said("wrw" + "-r-")},
			}, nil,
			map[string]string{"a/trained": "rw", "a/vote@3": "wr", "a/pass@3": "rr"},
		},
		"two students share the answers of a vote": {
			[]job{
				{name: "a", kind: kindTrained, answers: said("-w")},
				{name: "a", kind: kindUntrained, answers: said("--")},
				{name: "b", kind: kindTrained, answers: said("w-")},
				{name: "a", kind: kindSample, samples: 3, answers: said("rrw" + "www")},
				{name: "b", kind: kindSample, samples: 3, answers: said("www" + "-rr")},
			}, nil,
			map[string]string{
				"a/trained": "-w", "a/untrained": "--", "b/trained": "w-", "ensemble/ensemble": "ww", "oracle/bound": "ww",
				"a/vote@2": "rw", "b/vote@2": "wr", "a/pass@2": "rw", "b/pass@2": "wr", "ensemble/vote@2": "?w", "oracle/pass@2": "rw",
				"a/vote@3": "rw", "b/vote@3": "wr", "a/pass@3": "rw", "b/pass@3": "wr", "ensemble/vote@3": "rw", "oracle/pass@3": "rw",
			},
		},
		"the router gives each problem to one student": {
			[]job{
				{name: "a", kind: kindTrained, answers: said("rw")},
				{name: "b", kind: kindTrained, answers: said("wr")},
				{name: "a", kind: kindSample, samples: 2, answers: said("rw" + "rr")},
				{name: "b", kind: kindSample, samples: 2, answers: said("ww" + "w-")},
			}, []int{0, 1},
			map[string]string{
				"a/trained": "rw", "b/trained": "wr", "ensemble/ensemble": "?w", "routed/routed": "rr", "oracle/bound": "rr",
				"a/vote@2": "?r", "b/vote@2": "ww", "a/pass@2": "rr", "b/pass@2": "ww", "ensemble/vote@2": "?r", "oracle/pass@2": "rr",
				"routed/vote@2": "?w", "routed/pass@2": "rw",
			},
		},
	} {
		all, _, err := systems(graded(2), c.jobs, c.routed)
		if err != nil {
			t.Fatal(err)
		}
		got := rightOf(all)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		for k, want := range c.want {
			if strings.HasPrefix(want, "?") { // a tie between students
				got[k], want = got[k][1:], want[1:]
			}
			if got[k] != want {
				t.Errorf("%s: %s is %q, want %q", name, k, got[k], want)
			}
		}
	}
}

func TestElect(t *testing.T) {
	p := schema.Problem{ID: "x", Task: "gsm8k", GoldAnswer: "1"}
	q, err := answer.Of(p)
	if err != nil {
		t.Fatal(err)
	}
	b := func(pred string, sure float64) ballot { return ballot{answered{pred: pred}, sure} }
	for want, ballots := range map[string][]ballot{
		"":      {b("", 0.9), b("", 0.8)},
		"7":     {b("3", 0.9), b("7", 0.1), b("", 1), b("7", 0.1)},
		"1,000": {b("1000", 0.1), b("5", 0.9), b("1,000", 0.2)}, // one answer
		"4":     {b("3", 0.1), b("4", 0.2)},                     // the surer
		"5":     {b("5", 0.2), b("6", 0.2)},                     // the first
	} {
		if got := elect(q, ballots).pred; got != want {
			t.Errorf("%v: %q, want %q", ballots, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	all, students, err := systems(graded(3), []job{
		{name: "a", kind: kindTrained, answers: said("rrw")},
		{name: "b", kind: kindTrained, answers: said("wwr")},
		{name: "a", kind: kindUntrained, answers: said("www")},
		{name: "b", kind: kindUntrained, answers: said("www")},
		{name: "a", kind: kindSample, samples: 3, answers: said("rrrrrrrrr")},
		{name: "b", kind: kindSample, samples: 3, answers: said("rrrrrrrrr")},
	}, []int{0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	rows := []int{0, 1, 2}
	if all, err = withMajority(all, graded(3), rows); err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, c := range compare(all, students, rows) {
		pairs = append(pairs, c.A+" "+c.AKind+" / "+c.B+" "+c.BKind)
		if c.A == "a" && c.B == "b" && c.AKind == kindTrained && (c.OnlyA != 2 || c.OnlyB != 1 || c.P != 1 || c.Count != 3) {
			t.Errorf("%+v", c)
		}
	}
	for pair, want := range map[string]bool{
		"a trained / b trained":                 true,
		"a trained / a untrained":               true,
		"b trained / b untrained":               true,
		"a trained / b untrained":               false,
		"a untrained / b untrained":             false,
		"a trained / ensemble ensemble":         true,
		"a trained / majority baseline":         true,
		"a trained / a vote@3":                  true,
		"a trained / b vote@3":                  false,
		"ensemble ensemble / a vote@2":          true, // as many answers
		"ensemble ensemble / a vote@3":          false,
		"a vote@3 / ensemble vote@3":            true,
		"a vote@2 / ensemble vote@3":            false,
		"a trained / oracle bound":              false,
		"a vote@2 / a pass@2":                   false,
		"ensemble ensemble / majority baseline": true,
		"ensemble ensemble / ensemble vote@2":   true,
		"a untrained / majority baseline":       false,
		"a untrained / ensemble ensemble":       false,
		"ensemble vote@2 / majority baseline":   false,
		"a trained / routed routed":             true,
		"ensemble ensemble / routed routed":     true,
		"routed routed / majority baseline":     true,
		"routed routed / routed vote@3":         true,
		"routed routed / a vote@3":              false,
		"a vote@3 / routed vote@3":              true,
	} {
		if got := slices.Contains(pairs, pair); got != want {
			t.Errorf("%s: compared %v, want %v", pair, got, want)
		}
	}
}

// Training may have answers that leave a question less than all of the positions: its answer
// is cut there. A question that fills them has none.
func TestEvaluateUsesTheRoomLeft(t *testing.T) {
	models, err := filepath.Abs(filepath.Join("testdata", "evaluate-students", "basic", "models.in"))
	if err != nil {
		t.Fatal(err)
	}
	problems := testProblems(3)
	problems[1].Question = strings.Repeat(problems[1].Question+" ", 30)
	answers := func(cfg string) map[string]string {
		dir := t.TempDir()
		var mu sync.Mutex // students are asked at the same time
		var logged strings.Builder
		warn := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(&logged, s)
		}
		out, err := runStage(t, t.Context(), "evaluate-students", dir, cfg, 1, map[string]stage.Input{
			"models": {Path: models, Label: "models"}, "problems": writeRows(t, filepath.Join(dir, "test.jsonl"), problems),
		}, stage.Services{Warn: warn})
		if err != nil {
			t.Fatal(err)
		}
		if want := "student a: 1 of 3 questions leave no room for an answer in its"; !strings.Contains(logged.String(), want) {
			t.Errorf("warned %q, want %q", logged.String(), want)
		}
		given := map[string]string{}
		for _, p := range readRows[schema.Prediction](t, out["predictions"]) {
			given[p.ID+p.System] = p.Response
		}
		return given
	}
	short, long := answers(`{"max_new": 8, "untrained": false}`), answers(`{"max_new": 100000, "untrained": false}`)
	for at, got := range long {
		if want := short[at]; !strings.HasPrefix(got, want) || (want == "") != strings.HasPrefix(at, problems[1].ID) {
			t.Errorf("%s: %q with as much as fits, %q with 8 tokens", at, got, want)
		}
	}
}

// With samples and a field that rows carry, a run of the stage gives votes and scores apart,
// the same at each run.
func TestEvaluateSamplesByLevel(t *testing.T) {
	models, err := filepath.Abs(filepath.Join("testdata", "evaluate-students", "basic", "models.in"))
	if err != nil {
		t.Fatal(err)
	}
	problems := testProblems(3)
	problems[0].Extra.Set("level", []byte(`"Level 1"`))
	problems[1].Extra.Set("level", []byte(`2`))
	evaluate := func(cfg string) ([]schema.Score, []schema.Prediction) {
		dir := t.TempDir()
		out, err := runStage(t, t.Context(), "evaluate-students", dir, cfg, 1, map[string]stage.Input{
			"models": {Path: models, Label: "models"}, "problems": writeRows(t, filepath.Join(dir, "test.jsonl"), problems),
		}, stage.Services{})
		if err != nil {
			t.Fatal(err)
		}
		return readRows[schema.Score](t, out["scores"]), readRows[schema.Prediction](t, out["predictions"])
	}
	cfg := `{"max_new": 8, "untrained": false, "samples": 3, "temperature": 1}`
	scores, predictions := evaluate(cfg)
	again, _ := evaluate(cfg)
	if !slices.Equal(scores, again) {
		t.Error("two runs differ")
	}
	count := map[string]int{}
	for _, s := range scores {
		count[s.Group]++
		count[s.Kind]++
		if want := map[string]int{"": 3, "level=Level 1": 1, "level=2": 1}[s.Group]; s.Count != want {
			t.Errorf("%+v", s)
		}
	}
	for key, want := range map[string]int{"": 17, "level=2": 17, "level=Level 1": 17, "vote@2": 9, "pass@3": 9, kindBound: 3} {
		if count[key] != want {
			t.Errorf("%d scores of %q, want %d", count[key], key, want)
		}
	}
	texts := map[string]bool{}
	for _, p := range predictions {
		if p.Kind == kindSample && p.System == "a" && p.ID == problems[0].ID {
			texts[fmt.Sprint(p.Sample, p.Response)] = true
		}
	}
	if len(texts) != 3 || len(predictions) != 2*3*(1+3) {
		t.Errorf("%d predictions, samples %v", len(predictions), texts)
	}
	if scores, _ := evaluate(`{"max_new": 8, "untrained": false, "by": []}`); len(scores) != 5 {
		t.Errorf("%d scores by no field", len(scores))
	}
}
