package train

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// A sample larger than what there is takes all of it, and says so: a curve over sample sizes
// would be drawn at the wrong place.
func TestSampleLargerThanData(t *testing.T) {
	dir := t.TempDir()
	in := map[string]stage.Input{"paths": writeRows(t, filepath.Join(dir, "rows.jsonl"), taught(t, 4, false))}
	for size, want := range map[string]string{"4": "", "5": "sample_size is 5, and only 4 problems have usable paths: all are taken"} {
		var warned []string
		_, err := runStage(t, t.Context(), "train-moe", filepath.Join(dir, size), `{"dev_fraction": 0, "warmup_steps": 1, "epochs": 0, "sample_size": `+size+`}`, 1, in,
			stage.Services{Warn: func(s string) { warned = append(warned, s) }})
		if got := strings.Join(warned, "; "); err != nil || got != want {
			t.Errorf("sample_size %s: warned %q, want %q (%v)", size, got, want, err)
		}
	}
}

func TestWhichPaths(t *testing.T) {
	no := false
	path := func(style string) schema.Path {
		return schema.Path{Style: style, Prompt: "Think as " + style + ".", Response: "It is 1.", FinishReason: "stop"}
	}
	wrong, invalid := path("wrong"), path("invalid")
	wrong.Correct, invalid.Judge = &no, &schema.Judge{}
	var rows []schema.Problem
	for _, id := range strings.Split("abcdefgh", "") {
		rows = append(rows, schema.Problem{ID: id, Question: "1?", Paths: []schema.Path{path("right"), wrong, invalid}})
	}
	in := writeRows(t, filepath.Join(t.TempDir(), "rows.jsonl"), rows)
	read := func(u use) ([]trainPath, []string) {
		t.Helper()
		u.target.StudentTarget = targetResponse
		paths, ids, err := readPaths(stage.RowsFrom[schema.Problem](in.Path, in.Label), u)
		if err != nil {
			t.Fatal(err)
		}
		return paths, ids
	}
	for _, c := range []struct {
		q    Quality
		want []string
	}{
		{Quality{true, true}, []string{"right"}},
		{Quality{Correct: true}, []string{"right", "invalid"}},
		{Quality{Judged: true}, []string{"right", "wrong"}},
		{Quality{}, []string{"right", "wrong", "invalid"}},
	} {
		paths, _ := read(use{quality: c.q, limit: 1})
		var got []string
		for _, p := range paths {
			got = append(got, p.style)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, got, c.want)
		}
	}
	var last []string
	for n := 1; n <= 8; n++ {
		paths, ids := read(use{sample: n})
		if len(ids) != n || len(paths) != 3*n || !slices.IsSorted(ids) {
			t.Errorf("sample of %d: problems %v, %d paths", n, ids, len(paths))
		}
		for _, id := range last {
			if !slices.Contains(ids, id) {
				t.Errorf("sample of %d: %v does not hold %v", n, ids, last)
			}
		}
		last = ids
	}
	if paths, _ := read(use{limit: 1, prompt: promptStyled}); paths[1].prompt != "Think as wrong.\n" || paths[1].question != "Think as wrong." {
		t.Errorf("styled: %+v", paths[1])
	}
	bare := schema.Problem{ID: "x", Question: "1?", Paths: []schema.Path{path("cot")}}
	bare.Paths[0].Prompt = ""
	in = writeRows(t, filepath.Join(t.TempDir(), "rows.jsonl"), []schema.Problem{bare})
	if _, _, err := readPaths(stage.RowsFrom[schema.Problem](in.Path, in.Label), use{prompt: promptStyled}); err == nil || !strings.Contains(err.Error(), "problem x, path 0 (style cot) has no prompt") {
		t.Errorf("styled without a prompt: %v", err)
	}
}

// Paths of one problem stay together, every path comes once an epoch, and no batch is
// larger than asked.
func TestPathsPerStep(t *testing.T) {
	var problems []string
	for p, n := range []int{6, 1, 4, 3, 2, 5} {
		problems = append(problems, slices.Repeat([]string{string(rune('a' + p))}, n)...)
	}
	o := order{seed: 1, stream: "x", lengths: make([]int, len(problems)), batch: 7, together: 3, problems: problems}
	per := o.perEpoch()
	if per != 5 { // 2 + 1 + 2 + 1 + 1 + 2 units, two to a batch
		t.Errorf("%d steps, want 5", per)
	}
	for epoch := range 3 {
		seen := map[int]bool{}
		for step := range per {
			batch, e := o.at(epoch*per + step)
			if e != epoch || len(batch) > 7 {
				t.Errorf("step %d: epoch %d, %d paths", step, e, len(batch))
			}
			of := map[string]int{}
			for _, i := range batch {
				seen[i] = true
				of[problems[i]]++
			}
			if len(of) > 2 {
				t.Errorf("step %d mixes problems %v", step, of)
			}
		}
		if len(seen) != len(problems) {
			t.Errorf("epoch %d has %d paths of %d", epoch, len(seen), len(problems))
		}
	}
}
