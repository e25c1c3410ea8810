package train

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/schema"
)

// writeBase writes a tiny random model as a Hugging Face folder: a Llama of two
// layers whose tokens are characters.
func writeBase(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vocab := map[string]int{"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "\n": 4}
	for c := ' '; c <= '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	added := []map[string]any{}
	for i, s := range []string{"<pad>", "<s>", "</s>", "<unk>"} {
		added = append(added, map[string]any{"id": i, "content": s, "special": true})
	}
	put("tokenizer.json", map[string]any{
		"version": "1.0", "added_tokens": added,
		"pre_tokenizer": map[string]any{"type": "Split", "pattern": map[string]string{"Regex": `[\s\S]`}, "behavior": "Isolated", "invert": false},
		"decoder":       map[string]string{"type": "Fuse"},
		"model":         map[string]any{"type": "WordLevel", "unk_token": "<unk>", "vocab": vocab},
	})
	put("tokenizer_config.json", map[string]string{"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
	config := map[string]any{
		"model_type": "llama", "vocab_size": 104, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
		"num_key_value_heads": 1, "intermediate_size": 32, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
		"rope_theta": 10000.0, "tie_word_embeddings": false, "hidden_act": "silu",
	}
	put("config.json", config)
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ParseHF(text)
	if err != nil {
		t.Fatal(err)
	}
	c.InitStd = 0.2
	set, err := decoder.Init(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := decoder.Unpack(c, set)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for _, x := range flat {
		// bfloat16 halves what the goldens weigh.
		y, err := safetensors.FromFloat32(x.Name, safetensors.BF16, x.Dims, x.Data)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, y)
	}
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleFile), tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
}

func TestTrainSFTGolden(t *testing.T) { golden(t, TrainSFT) }

const tinySFT = `"name": "tiny", "lora": {"r": 4, "alpha": 8, "targets": ["*_proj"]}, "max_steps": 6, "batch": 4, "micro_batch": 2, "lr": 0.01, "lr_warmup": 2, "dev_fraction": 0.2, "eval_every": 2, "checkpoint_every": 2`

// digestOf is a digest of all files below a folder but those of the machine.
func digestOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == studentFile || d.Name() == "adapter_config.json" {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", strings.TrimPrefix(path, dir), sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func metric(rows []schema.Metric, name string) (values []float64) {
	for _, r := range rows {
		if r.Name == name {
			values = append(values, r.Value)
		}
	}
	return values
}

// A frozen model gets better on problems it did not train on, its base does not
// change, and what comes out can be evaluated.
func TestSFTLearnsAndIsEvaluated(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	writeBase(t, base)
	before := digestOf(t, base)
	rows := taught(t, 24, false)
	cfg := fmt.Sprintf(`{"model": %q, "name": "tiny", "lora": {"r": 8, "alpha": 16, "dropout": 0, "targets": ["*_proj"]},
		"epochs": 3, "max_steps": 30, "batch": 8, "lr": 0.02, "dev_fraction": 0.2, "eval_every": 15}`, base)
	out, err := runStage(t, context.Background(), "train-sft", dir, cfg, 1, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "paths.jsonl"), rows),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	dev := metric(readRows[schema.Metric](t, out["metrics"]), "dev_loss")
	if len(dev) != 3 || !(dev[2] < 0.8*dev[0]) {
		t.Errorf("dev loss %v: want it to fall by a fifth", dev)
	}
	if digestOf(t, base) != before {
		t.Error("training changed the base")
	}
	dir2 := filepath.Join(dir, "eval")
	if err := os.MkdirAll(dir2, 0o755); err != nil {
		t.Fatal(err)
	}
	scores, err := runStage(t, context.Background(), "evaluate-students", dir2, `{"max_new": 12, "batch": 4}`, 1, map[string]stage.Input{
		"models":   {Path: out["models"], Label: "models"},
		"problems": writeRows(t, filepath.Join(dir2, "test.jsonl"), testProblems(4)),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, p := range readRows[schema.Prediction](t, scores["predictions"]) {
		texts[p.Kind] += p.Response + "|"
	}
	if texts[kindTrained] == "" || texts[kindTrained] == texts[kindUntrained] {
		t.Errorf("trained and untrained students write %q and %q", texts[kindTrained], texts[kindUntrained])
	}
	// Adapters belong to the base they were trained on.
	f, err := os.OpenFile(filepath.Join(base, "config.json"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = runStage(t, context.Background(), "evaluate-students", dir2, `{"max_new": 12}`, 1, map[string]stage.Input{
		"models":   {Path: out["models"], Label: "models"},
		"problems": writeRows(t, filepath.Join(dir2, "test.jsonl"), testProblems(1)),
	}, stage.Services{})
	if err == nil || !strings.Contains(err.Error(), "not the one") {
		t.Errorf("another base: %v", err)
	}
}

// A run that is stopped and resumed at any step gives the bytes of one that is not.
func TestSFTResumes(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	writeBase(t, base)
	cfg := fmt.Sprintf(`{"model": %q, %s}`, base, tinySFT)
	rows := taught(t, 12, false)
	run := func(name string, svc stage.Services) (map[string]string, error) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		return runStage(t, context.Background(), "train-sft", at, cfg, 3, map[string]stage.Input{
			"paths": writeRows(t, filepath.Join(at, "paths.jsonl"), rows),
		}, svc)
	}
	want, err := run("whole", stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stopped")
	for _, kill := range []int{1, 2} {
		name := fmt.Sprint("killed", kill)
		n := 0
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(stop) {
					panic(r)
				}
			}()
			_, _ = run(name, stage.Services{Fault: func(point string) {
				if point == "train-checkpointed" {
					if n++; n == kill {
						panic(stop)
					}
				}
			}})
		}()
		if n != kill {
			t.Fatalf("the run saved %d checkpoints, want %d", n, kill)
		}
		got, err := run(name, stage.Services{})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := digestOf(t, want["models"]), digestOf(t, got["models"]); a != b {
			t.Errorf("killed after checkpoint %d: other models", kill)
		}
		a, _ := os.ReadFile(want["metrics"])
		b, _ := os.ReadFile(got["metrics"])
		if string(a) != string(b) {
			t.Errorf("killed after checkpoint %d: other metrics", kill)
		}
	}
}

func TestSFTEpochsZero(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	writeBase(t, base)
	out, err := runStage(t, context.Background(), "train-sft", dir, fmt.Sprintf(`{"model": %q, "epochs": 0, "name": "s"}`, base), 3, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "paths.jsonl"), taught(t, 3, false)),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(out["models"], "s", "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, x := range f.Tensors() {
		v, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, y := range v {
			sum += math.Abs(float64(y))
		}
		if strings.Contains(x.Name, "lora_B") != (sum == 0) {
			t.Errorf("%s sums to %v: an untrained adapter adds nothing", x.Name, sum)
		}
	}
}

func TestSFTConfigErrors(t *testing.T) {
	for cfg, want := range map[string]string{
		`{"model": "m", "lora": {"targets": ["query"]}}`: "lora",
		`{"model": "m", "batch": 2, "micro_batch": 4}`:   "micro_batch",
		`{"model": "m", "device": "tpu"}`:                "device",
		`{"model": "m", "name": "../x"}`:                 "name",
		`{"model": "m", "lr": -1}`:                       "lr",
		`{"quantize": "nf4"}`:                            "quantize",
		`{"tokenizer_from": "x"}`:                        "tokenizer_from",
		`{"pretrain_lr": 0}`:                             "pretrain_lr",
		`{"d_model": 10, "heads": 2}`:                    "head_dim",
		`{"model": "m", "schedule": "sine"}`:             "schedule",
	} {
		var tree map[string]any
		if err := json.Unmarshal([]byte(cfg), &tree); err != nil {
			t.Fatal(err)
		}
		_, errs := TrainSFT.Decode(tree)
		if !strings.Contains(fmt.Sprint(errs), want) {
			t.Errorf("%s: %v does not mention %s", cfg, errs, want)
		}
	}
}
