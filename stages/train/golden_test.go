package train

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/schema"
)

// golden compares with goldens where the numeric platform is the one on which
// they were written. Elsewhere last digits differ, so it only checks that two runs
// agree and that errors are those of the goldens.
func golden(t *testing.T, typ *stage.Type) {
	t.Helper()
	file := filepath.Join("testdata", typ.Type, "platform")
	if os.Getenv("DISTILLFLOW_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(platform()+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(b)) == platform() {
		stagetest.Golden(t, typ)
		return
	}
	cases, err := stagetest.Cases(filepath.Join("testdata", typ.Type))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		first := stagetest.RunCase(t, typ, c, 42, stage.Services{})
		if second := stagetest.RunCase(t, typ, c, 42, stage.Services{}); !maps.Equal(first, second) {
			t.Errorf("%s: two runs differ", c)
		}
		want, err := os.ReadFile(filepath.Join(c, "error.txt"))
		if err == nil && first["error.txt"] != string(want) {
			t.Errorf("%s: error %q, want %q", c, first["error.txt"], want)
		}
	}
}

func TestTrainMoEGolden(t *testing.T)         { golden(t, TrainMoE) }
func TestEvaluateStudentsGolden(t *testing.T) { golden(t, EvaluateStudents) }

const tinyConfig = `{
  "students": [
    {"name": "a", "arch": "llama", "d_model": 8, "layers": 1, "heads": 1, "tokenizer": "word", "vocab": 96},
    {"name": "b", "arch": "gemma", "d_model": 8, "layers": 1, "heads": 1, "tokenizer": "bpe", "vocab": 96}
  ],
  "warmup_steps": 3, "warmup_batch": 4, "max_steps": 4, "batch": 6, "log_every": 2, "checkpoint_every": 2
}
`

// adaptersConfig mixes a published model with a student from scratch that is frozen
// after the warm-up.
const adaptersConfig = `{
  "students": [
    {"name": "published", "model": "model", "lora": {"r": 2, "targets": ["*_proj"]}, "lr": 0.01},
    {"name": "scratch", "d_model": 8, "layers": 1, "heads": 1, "vocab": 96, "lora": {"r": 2}}
  ],
  "warmup_steps": 3, "warmup_batch": 4, "max_steps": 4, "batch": 6, "micro_batch": 4, "dev_fraction": 0.2, "eval_every": 2,
  "select": "best", "log_every": 2, "checkpoint_every": 2
}
`

// TestWriteGoldenInputs makes the inputs of the golden cases from the sample data
// and the simulated teacher; it runs only where goldens are rewritten by force.
func TestWriteGoldenInputs(t *testing.T) {
	if os.Getenv("DISTILLFLOW_UPDATE") != "force" {
		t.Skip("only with DISTILLFLOW_UPDATE=force")
	}
	put := func(path, text string) {
		path = filepath.Join("testdata", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines := func(rows []schema.Problem) string {
		var b strings.Builder
		for _, r := range rows {
			j, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(j, '\n'))
		}
		return b.String()
	}
	rows := taught(t, 6, false)
	no := false
	rows[0].Paths[0].Correct = &no
	rows[1].Paths[1].Judge = &schema.Judge{Valid: false}
	rows[2].Paths[2].Response = strings.Repeat("7 + 7 = 14. ", 40) // dropped: too long
	put("train-moe/basic/config.json", tinyConfig)
	put("train-moe/basic/paths.in.jsonl", lines(rows))
	writeBase(t, filepath.Join("testdata", "train-moe", "adapters", "model"))
	put("train-moe/adapters/config.json", adaptersConfig)
	put("train-moe/adapters/paths.in.jsonl", lines(rows))
	put("train-moe/malformed/config.json", tinyConfig)
	put("train-moe/malformed/paths.in.jsonl", lines(rows[:2])+`{"id": "x", "paths": 7}`+"\n")
	for _, c := range []string{"basic", "malformed"} {
		writeBase(t, filepath.Join("testdata", "train-sft", c, "model"))
		put("train-sft/"+c+"/config.json", `{"model": "model", `+tinySFT+"}\n")
	}
	put("train-sft/basic/paths.in.jsonl", lines(rows))
	put("train-sft/malformed/paths.in.jsonl", lines(rows[:2])+`{"id": "x", "paths": 7}`+"\n")
	bare := testProblems(2)
	put("train-moe/no-path/config.json", tinyConfig)
	put("train-moe/no-path/paths.in.jsonl", lines(bare))

	dir := t.TempDir()
	out, err := runStage(t, context.Background(), "train-moe", dir, tinyConfig, 42, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "train.jsonl"), rows),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"basic", "trained-on", "malformed", "no-gold"} {
		models := filepath.Join("testdata", "evaluate-students", c, "models.in")
		if err := os.RemoveAll(models); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(models, os.DirFS(out["models"])); err != nil {
			t.Fatal(err)
		}
		if c == "basic" {
			put("evaluate-students/"+c+"/config.json", `{"max_new": 8}`+"\n")
			continue
		}
		// An error that comes before any model is read needs the description only.
		folders, err := filepath.Glob(filepath.Join(models, "*", "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(folders, filepath.Join(models, untrainedDir, "x")) {
			if err := os.RemoveAll(filepath.Dir(f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("evaluate-students/basic/problems.in.jsonl", lines(testProblems(6)))
	put("evaluate-students/basic/dev.in.jsonl", lines(testProblems(10)[6:]))
	put("evaluate-students/trained-on/problems.in.jsonl", lines(append(testProblems(2), rows[3])))
	put("evaluate-students/malformed/problems.in.jsonl", lines(testProblems(1))+"not JSON\n")
	noGold := testProblems(2)
	noGold[1].GoldAnswer = ""
	put("evaluate-students/no-gold/problems.in.jsonl", lines(noGold))
}

func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]struct{ cfg, want string }{
		"one student":     {`{"students": [{"name": "a"}]}`, "students: 1 given"},
		"same name":       {`{"students": [{"name": "a"}, {"name": "a"}]}`, "students.1.name"},
		"name of folder":  {`{"students": [{"name": "a"}, {"name": "untrained"}]}`, "students.1.name"},
		"path as name":    {`{"students": [{"name": "a"}, {"name": "../b"}]}`, "students.1.name"},
		"odd head":        {`{"students": [{"name": "a"}, {"name": "b", "d_model": 10, "heads": 2}]}`, "head_dim 5"},
		"temperature":     {`{"router": {"tau": {"start": 0}}}`, "router.tau.start"},
		"unknown variant": {`{"students": [{"name": "a", "arch": "bert"}, {"name": "b"}]}`, "arch"},
	} {
		var tree map[string]any
		if err := json.Unmarshal([]byte(c.cfg), &tree); err != nil {
			t.Fatal(err)
		}
		_, errs := TrainMoE.Decode(tree)
		found := slices.ContainsFunc(errs, func(e stage.FieldError) bool { return strings.Contains(e.Error(), c.want) })
		if !found {
			t.Errorf("%s: errors %v do not mention %q", name, errs, c.want)
		}
	}
	if _, errs := TrainMoE.Decode(map[string]any{}); len(errs) > 0 {
		t.Errorf("the defaults are refused: %v", errs)
	}
}
