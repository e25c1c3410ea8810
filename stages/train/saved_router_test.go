package train

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/schema"
)

// A router that was saved prefers, for any text, the student that it preferred in training;
// one that has learned nothing is not saved.
func TestSavedRouter(t *testing.T) {
	tr := trained(t, ofMethod(methodCorrected).plan(), testPaths(t, 6))
	var texts []string
	for _, p := range tr.paths {
		texts = append(texts, p.response)
	}
	var flat []float32
	for _, e := range tr.encoded {
		flat = append(flat, e...)
	}
	scores, err := tr.router.Scores(flat, len(texts))
	if err != nil {
		t.Fatal(err)
	}
	// So short a training leaves one student ahead everywhere: bring them level.
	var ahead []float64
	for _, l := range scores {
		ahead = append(ahead, l[1]-l[0])
	}
	slices.Sort(ahead)
	tr.router.params[rB2].Data[1] -= float32(ahead[len(ahead)/2])
	if scores, err = tr.router.Scores(flat, len(texts)); err != nil {
		t.Fatal(err)
	}
	dir, dev := t.TempDir(), tr.students[0].devs[0]
	if err := tr.saveRouter(dir); err != nil {
		t.Fatal(err)
	}
	picks, err := routedPicks(t.Context(), dev, dir, 2, texts, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range scores {
		if best := slices.Index(l, slices.Max(l)); picks[i] != best {
			t.Errorf("text %d: student %d, want %d", i, picks[i], best)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(picks)))) != 2 {
		t.Errorf("all texts go to one student: %v", picks)
	}

	var info routerInfo
	if err := checkpoint.ReadJSON(filepath.Join(dir, routerFile), &info); err != nil {
		t.Fatal(err)
	}
	mean := info.Encoder.Mean
	info.Encoder.Mean = mean[1:]
	if err := checkpoint.WriteJSON(filepath.Join(dir, routerFile), info); err != nil {
		t.Fatal(err)
	}
	if _, err := routedPicks(t.Context(), dev, dir, 2, texts, hub.Options{}); err == nil {
		t.Error("a mean of another width is taken")
	}
	info.Encoder.Mean, info.Digest = mean, "another"
	if err := checkpoint.WriteJSON(filepath.Join(dir, routerFile), info); err != nil {
		t.Fatal(err)
	}
	if _, err := routedPicks(t.Context(), dev, dir, 2, texts, hub.Options{}); err == nil {
		t.Error("another encoder is taken")
	}

	dir = t.TempDir()
	if err := trained(t, ofMethod(methodNone).plan(), testPaths(t, 6)).saveRouter(dir); err != nil {
		t.Fatal(err)
	}
	if picks, err := routedPicks(t.Context(), dev, dir, 2, texts, hub.Options{}); err != nil || picks != nil {
		t.Errorf("without a router: %v, %v", picks, err)
	}
}

// Students that read the styles' prompts are asked in each style that problems have a prompt
// for, and plainly; the routed row stands beside them.
func TestEvaluateStyled(t *testing.T) {
	dir := t.TempDir()
	rows := taught(t, 6, false)
	for i := range rows {
		for k := range rows[i].Paths {
			p := &rows[i].Paths[k]
			p.Prompt = p.Style + ": " + rows[i].Question
		}
	}
	cfg := `{"student_prompt": "styled", ` + tinyConfig[1:]
	out, err := runStage(t, t.Context(), "train-moe", dir, cfg, 1, map[string]stage.Input{"paths": writeRows(t, filepath.Join(dir, "train.jsonl"), rows)}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	test := testProblems(4)
	for i := range test {
		for _, style := range []string{"cot", "tree"}[:1+i%2] {
			test[i].Paths = append(test[i].Paths, schema.Path{Style: style, Prompt: style + ": " + test[i].Question})
		}
	}
	ev, err := runStage(t, t.Context(), "evaluate-students", dir, `{"max_new": 8}`, 1, map[string]stage.Input{
		"models": {Path: out["models"], Label: "models"}, "problems": writeRows(t, filepath.Join(dir, "test.jsonl"), test),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, s := range readRows[schema.Score](t, ev["scores"]) {
		counts[s.System+" "+s.Kind+" "+s.Group] = s.Count
	}
	for row, want := range map[string]int{
		"a trained style=cot": 4, "b trained style=cot": 4, "a trained style=tree": 2, "b trained style=tree": 2,
		"a untrained style=cot": 0, "ensemble ensemble style=cot": 0, "a trained ": 4, "routed routed ": 4,
	} {
		if counts[row] != want {
			t.Errorf("%s: %d problems, want %d", row, counts[row], want)
		}
	}
	said := map[string][]float64{} // by style
	for _, p := range readRows[schema.Prediction](t, ev["predictions"]) {
		if p.System == "a" && p.Kind == kindTrained {
			said[p.Style] = append(said[p.Style], p.LogProb)
		}
	}
	if len(said[""]) != 4 || len(said["cot"]) != 4 || len(said["tree"]) != 2 {
		t.Errorf("answers by style: %v", said)
	}
	if slices.Equal(said[""], said["cot"]) {
		t.Errorf("plain and styled prompts are answered alike: %v", said[""])
	}
}
