package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

func TestGenerateGolden(t *testing.T) { golden(t, Generate) }

// generated runs the stage over problems with the published model of the goldens.
func generated(t *testing.T, cfg string, problems []schema.Problem) []schema.Problem {
	t.Helper()
	dir := t.TempDir()
	model, err := filepath.Abs(filepath.Join("testdata", "train-sft", "basic", "model"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := runStage(t, t.Context(), "generate", dir, `{"model": "`+model+`", "temperature": 1, "max_new": 8, `+cfg+`}`, 42, map[string]stage.Input{
		"problems": writeRows(t, filepath.Join(dir, "problems.jsonl"), problems),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	return readRows[schema.Problem](t, out["problems"])
}

// An answer depends on the problem and the sample, not on what else is asked: with more
// samples and other problems it stays.
func TestGenerateIsIndependent(t *testing.T) {
	var problems []schema.Problem
	for _, q := range []string{"1+1?", "What is 2+3, and why?", "7?", "10 - 4?"} {
		problems = append(problems, schema.Problem{ID: q, Task: "gsm8k", Question: q})
	}
	few := generated(t, `"samples": 1`, problems[1:2])
	many := generated(t, `"samples": 3, "batch": 5`, problems)
	if len(many) != 4 || len(many[1].Paths) != 3 {
		t.Fatalf("%+v", many)
	}
	if got, want := many[1].Paths[0].Response, few[0].Paths[0].Response; got != want || got == "" {
		t.Errorf("%q among others, %q alone", got, want)
	}
	if many[1].Paths[1].Response == many[1].Paths[0].Response {
		t.Error("two samples are the same")
	}
	for _, p := range many {
		for k, x := range p.Paths {
			if x.Style != "student:model" || x.Replicate != k || !x.Answered() || x.Prompt != p.Question {
				t.Errorf("%+v", x)
			}
		}
	}
	if limited := generated(t, `"max_rows": 2`, problems); len(limited) != 2 {
		t.Errorf("max_rows: 2 gave %d", len(limited))
	}
}

// The positions of a model end its answer; a question that fills them gets an error.
func TestGenerateUsesTheRoomLeft(t *testing.T) {
	model, err := filepath.Abs(filepath.Join("testdata", "train-sft", "basic", "model"))
	if err != nil {
		t.Fatal(err)
	}
	problems := []schema.Problem{
		{ID: "tight", Task: "gsm8k", Question: strings.Repeat("1+1? ", 102)}, // 511 tokens
		{ID: "full", Task: "gsm8k", Question: strings.Repeat("1+1? ", 200)},
	}
	dir := t.TempDir()
	out, err := runStage(t, t.Context(), "generate", dir, `{"model": "`+model+`", "max_new": 512}`, 42, map[string]stage.Input{
		"problems": writeRows(t, filepath.Join(dir, "problems.jsonl"), problems),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	rows := readRows[schema.Problem](t, out["problems"])
	if x := rows[0].Paths[0]; x.Error != "" || x.FinishReason != "length" || x.Response == "" {
		t.Errorf("less room than max_new: %+v", x)
	}
	if x := rows[1].Paths[0]; !strings.Contains(x.Error, "the model's 512 positions") || x.FinishReason != "" {
		t.Errorf("no room: error %q", x.Error)
	}
}

// Quantised, a model draws other answers than plain, the same at each run.
func TestGenerateQuantized(t *testing.T) {
	var problems []schema.Problem
	for _, q := range []string{"1+1?", "What is 2+3, and why?", "7?", "10 - 4?"} {
		problems = append(problems, schema.Problem{ID: q, Task: "gsm8k", Question: q})
	}
	text := func(cfg string) (s string) {
		for _, p := range generated(t, cfg, problems) {
			for _, x := range p.Paths {
				s += x.Response + "|"
			}
		}
		return s
	}
	plain, one, two := text(`"samples": 2`), text(`"samples": 2, "quantize": "nf4"`), text(`"samples": 2, "quantize": "nf4"`)
	if one != two {
		t.Errorf("%q, then %q", one, two)
	}
	if one == plain {
		t.Error("quantising changed nothing: was it done?")
	}
}

func TestGenerateConfigErrors(t *testing.T) {
	for want, cfg := range map[string]string{
		"samples: 2 answers":     `{"samples": 2}`,
		"adapter: belongs":       `{"adapter": "."}`,
		"tokenizer: belongs":     `{"tokenizer": "."}`,
		"quantize: belongs":      `{"quantize": "nf4"}`,
		"model: takes the place": `{"model": "m", "students": ["a"]}`,
		`name: "a/b" cannot`:     `{"name": "a/b"}`,
		`device: device "x"`:     `{"device": "x"}`,
		"temperature: 6 is":      `{"temperature": 6}`,
		"precision: \"int8\"":    `{"precision": "int8"}`,
	} {
		var tree map[string]any
		if err := json.Unmarshal([]byte(cfg), &tree); err != nil {
			t.Fatal(err)
		}
		_, errs := Generate.Decode(tree)
		if !slices.ContainsFunc(errs, func(e stage.FieldError) bool { return strings.Contains(e.Error(), want) }) {
			t.Errorf("%s: %v, want %q", cfg, errs, want)
		}
	}
	missing := generateConfig{LocalModel: LocalModel{Model: stage.Path(filepath.Join(t.TempDir(), "none"))}}
	if _, err := missing.Externals(t.Context()); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("%v", err)
	}
	base := filepath.Join("testdata", "train-sft", "basic", "model")
	files, err := generateConfig{LocalModel: LocalModel{Model: stage.Path(base), Adapter: "ad"}}.Externals(t.Context())
	if err != nil || len(files) < 4 || files[len(files)-1].Path != filepath.Join("ad", "adapter_model.safetensors") {
		t.Errorf("%v %v", files, err)
	}
	if _, err := os.Stat(files[0].Path); err != nil {
		t.Error(err)
	}
}
