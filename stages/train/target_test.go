package train

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
	"github.com/distillflow/distillflow/schema"
)

// thoughtRows are a problem whose paths hold thoughts in all ways, and one whose path
// holds none.
func thoughtRows(t *testing.T) stage.Input {
	t.Helper()
	return writeRows(t, filepath.Join(t.TempDir(), "paths.jsonl"), []schema.Problem{
		{ID: "a", Task: "gsm8k", Question: "2 + 2?", Paths: []schema.Path{
			{Style: "apart", Reasoning: "2 and 2 more", Response: "4"},
			{Style: "inline", Response: "<think>\n2 and 2 more\n</think>\n\n4"},
			{Style: "open", Response: "<think>\n2 and 2 more"},
			{Style: "alone", Response: "<think>2 and 2 more</think>"},
			{Style: "none", Response: "4"},
			{Style: "thoughtless", Response: "<think></think>\n\n4"},
			{Style: "tagged", Response: "So <answer>4</answer>"},
			{Style: "long", Reasoning: strings.Repeat("2 and 2 more ", 9), Response: "4"},
		}},
		{ID: "b", Task: "gsm8k", Question: "1 + 1?", Paths: []schema.Path{{Style: "none", Response: "2"}}},
	})
}

func TestStudentTarget(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	writeBase(t, base)
	in := thoughtRows(t)
	rows := stage.RowsFrom[schema.Problem](in.Path, in.Label)
	const both = "<think>\n2 and 2 more\n</think>\n\n4"
	for _, c := range []struct{ target, style, learned, dropped string }{
		{"response", "apart", "4", ""},
		{"response", "inline", "4", ""},
		{"response", "thoughtless", "4", ""},
		{"response", "tagged", "So <answer>4</answer>", ""},
		{"reasoning", "apart", "2 and 2 more", ""},
		{"reasoning", "inline", "2 and 2 more", ""},
		{"reasoning", "none", "", "it has no reasoning (student_target: reasoning)"},
		{"reasoning+response", "apart", both, ""},
		{"reasoning+response", "inline", both, ""},
		{"reasoning+response", "none", "", "it has no reasoning (student_target: reasoning+response)"},
	} {
		for kind, tree := range map[string]map[string]any{
			"published": {"model": base, "student_target": c.target},
			"scratch":   {"student_target": c.target},
		} {
			r, err := Render(context.Background(), configOf[sftConfig](t, TrainSFT, tree), rows, Pick{Style: c.style})
			if err != nil {
				t.Fatal(err)
			}
			if r.Dropped != c.dropped || r.Rows != 7 {
				t.Errorf("%s %+v: dropped %q, %d rows", kind, c, r.Dropped, r.Rows)
			}
			if c.dropped != "" {
				continue
			}
			checkRendered(t, r)
			if got := strings.NewReplacer("</s>", "", "<eos>", "").Replace(learned(r)); got != c.learned {
				t.Errorf("%s %+v: learns %q", kind, c, got)
			}
			if got := r.ReasoningTokens > 0; got != (c.target != "response") {
				t.Errorf("%s %+v: %d tokens of reasoning", kind, c, r.ReasoningTokens)
			}
		}
	}
	for _, style := range []string{"open", "alone"} {
		if _, err := Render(context.Background(), configOf[sftConfig](t, TrainSFT, nil), rows, Pick{Style: style}); err == nil {
			t.Errorf("a path with a thought and no response (%s) is trained on", style)
		}
	}
	if _, errs := TrainSFT.Decode(map[string]any{"max_reasoning_tokens": 5}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "max_reasoning_tokens") {
		t.Errorf("a limit without a target: %v", errs)
	}
}

// A template that opens the thought has no place for a response alone, and says what has.
func TestResponseOfThinkingTemplate(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	writeBase(t, base)
	const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% else %}\n{% endif %}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
	if err := os.WriteFile(filepath.Join(base, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	in := thoughtRows(t)
	rows := stage.RowsFrom[schema.Problem](in.Path, in.Label)
	_, err := Render(context.Background(), configOf[sftConfig](t, TrainSFT, map[string]any{"model": base}), rows, Pick{})
	if err == nil || !strings.Contains(err.Error(), "student_target: reasoning+response") {
		t.Errorf("got %v", err)
	}
	r, err := Render(context.Background(), configOf[sftConfig](t, TrainSFT, map[string]any{"model": base, "student_target": "reasoning+response"}), rows, Pick{})
	if err != nil {
		t.Fatal(err)
	}
	if checkRendered(t, r); learned(r) != "2 and 2 more\n</think>\n\n4</s>" {
		t.Errorf("learns %q", learned(r))
	}
}

// Students whose templates write other marks still share the positions of what they learn.
func TestThoughtsAlign(t *testing.T) {
	dir := t.TempDir()
	writeBase(t, filepath.Join(dir, "base"))
	in := thoughtRows(t)
	paths, _, err := readPaths(stage.RowsFrom[schema.Problem](in.Path, in.Label), use{quality: Quality{true, true}, target: Target{StudentTarget: "reasoning+response"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := configOf[trainConfig](t, TrainMoE, map[string]any{"student_target": "reasoning+response", "students": []any{
		map[string]any{"name": "published", "model": filepath.Join(dir, "base")},
		map[string]any{"name": "scratch"},
	}})
	tr, _, err := newTrainer(t.Context(), cfg.plan(), 1, openCPU, paths[:1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	p := paths[0]
	for _, s := range tr.students {
		ends := s.seqs[0].ends
		for _, want := range []int{len(thoughtOpens) + len(p.thought), len(p.response)} {
			if !slices.Contains(ends, want) {
				t.Errorf("%s: no token ends at byte %d of %q: %v", s.name, want, p.response, ends)
			}
		}
		if !slices.IsSorted(ends) {
			t.Errorf("%s: %v falls", s.name, ends)
		}
	}
}

// Marks of any length stay between the thought and the response.
func TestPlacement(t *testing.T) {
	// "<x>HM</long mark>4" for "<think>\nHM\n</think>\n\n4".
	at := placement{{hf.Span{Start: 3, End: 5}, 8}, {hf.Span{Start: 17, End: 18}, 22}}
	for end, want := range map[int]int{3: 8, 4: 9, 5: 10, 11: 10, 16: 10, 17: 22, 18: 23} {
		if got := at.of(end); got != want {
			t.Errorf("byte %d of the text is at %d, want %d", end, got, want)
		}
	}
}

// What is dropped is told by style and reason.
func TestDroppedReasoning(t *testing.T) {
	dir := t.TempDir()
	writeBase(t, filepath.Join(dir, "base"))
	var warnings []string
	reg, err := stage.NewRegistry(Stages()...)
	if err != nil {
		t.Fatal(err)
	}
	c, errs := TrainSFT.Decode(map[string]any{
		"model": filepath.Join(dir, "base"), "student_target": "reasoning+response", "max_reasoning_tokens": 20, "max_steps": 1, "dev_fraction": 0.0,
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	cfg, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	task := stage.Task{Stage: "tune", Type: sftType, Version: TrainSFT.Version, Config: cfg, Seed: 1, WorkDir: filepath.Join(dir, "work"),
		Inputs: map[string][]stage.Input{"paths": {thoughtRows(t)}}, Outputs: map[string]string{}}
	for _, p := range TrainSFT.Outputs {
		task.Outputs[p.Name] = filepath.Join(dir, p.Name)
	}
	res, err := reg.Run(t.Context(), task, stage.Services{Warn: func(s string) { warnings = append(warnings, s) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"style none: 2 of 2 paths (100 %) have no reasoning and were dropped (student_target: reasoning+response)",
		"style long: 1 of 1 paths (100 %) have more reasoning than max_reasoning_tokens 20 and were dropped",
	} {
		if !slices.Contains(warnings, want) {
			t.Errorf("no warning %q in %q", want, warnings)
		}
	}
	if len(warnings) != 4 || fmt.Sprint(res.Stats["reasoning_dropped_share/long"], res.Stats["reasoning_dropped_share/apart"]) != "1 0" {
		t.Errorf("warnings %q, stats %v", warnings, res.Stats)
	}
}
