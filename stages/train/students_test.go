package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/schema"
)

// mixedConfig has one student of each kind: a published model with adapters, and one
// from scratch that is frozen after the warm-up and adapted then.
func mixedConfig(t testing.TB) trainConfig {
	t.Helper()
	base := filepath.Join(t.TempDir(), "base")
	writeBase(t, base)
	cfg := smallConfig()
	rank := smallLoRA
	rank.Rank = 2
	cfg.Students[0] = studentConfig{Name: "a", Base: Base{Model: stage.Path(base), LoRA: rank, LR: 0.02}}
	cfg.Students[1].LoRA = rank
	cfg.MaxSeq = 256
	return cfg
}

// Students of every kind are routed and taught by peers, and each learns by what it
// has: adapters alone once it is frozen.
func TestMixedStudentsTrain(t *testing.T) {
	cfg := mixedConfig(t)
	cfg.MaxSteps = 6
	tr := testTrainer(t, cfg, 3)
	if err := tr.plainUntil(t, cfg.WarmupSteps); err != nil {
		t.Fatal(err)
	}
	pretrained := tr.students[1].params.Hash()
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := tr.students[1]
	if b.base.Hash() != pretrained {
		t.Error("the frozen base of the student from scratch changed")
	}
	for _, s := range tr.students {
		if s.lora == nil || s.opt.T == 0 {
			t.Errorf("student %s trained no adapters", s.name)
		}
		for _, x := range s.params {
			moved := slices.ContainsFunc(x.Data, func(v float32) bool { return v != 0 })
			if strings.Contains(x.Name, "lora_B") && !moved {
				t.Errorf("student %s: %s is still zero", s.name, x.Name)
			}
		}
	}
	if tr.coverage <= 0 || tr.coverage > 1 {
		t.Errorf("aligned share %v", tr.coverage)
	}
	seen := map[string]bool{}
	for _, r := range tr.routings {
		seen[r.Student] = true
	}
	if !seen["a"] || !seen["b"] {
		t.Errorf("routed to %v only", seen)
	}
}

// plainUntil runs the warm-up alone.
func (t *trainer) plainUntil(tb testing.TB, steps int) error {
	for t.step < steps {
		if _, err := t.plain(tb.Context(), &t.warmupOrder, 0, min(t.nextStop(), steps)); err != nil {
			return err
		}
	}
	return nil
}

// Stopping and resuming gives the same bits whatever the students are, with the best
// weights kept and moments in eight bits.
func TestMixedStudentsResume(t *testing.T) {
	cfg := mixedConfig(t)
	cfg.DevFraction, cfg.EvalEvery, cfg.Select, cfg.EightBit, cfg.MicroBatch = 0.3, 2, "best", true, 4
	cfg.CheckpointEvery = 1
	whole := testTrainer(t, cfg, 7)
	if err := whole.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(metric(whole.metrics, "dev_loss")); n == 0 {
		t.Fatal("no dev loss was measured")
	}
	for _, stop := range []int{2, 4, 6} { // in the warm-up, at its end, and after it
		path := filepath.Join(t.TempDir(), stateFile)
		first := testTrainer(t, cfg, 7)
		halt := errors.New("halt")
		first.checkpoint = func() error {
			if err := first.save(path); err != nil || first.step < stop {
				return err
			}
			return halt
		}
		if err := first.run(t.Context()); !errors.Is(err, halt) {
			t.Fatal(err)
		}
		second := testTrainer(t, cfg, 7)
		if ok, err := second.restore(path); !ok || err != nil {
			t.Fatalf("stop at %d: %v, %v", stop, ok, err)
		}
		if err := second.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(hashes(second), hashes(whole)) || !slices.Equal(second.metrics, whole.metrics) {
			t.Errorf("stop at %d: other weights or metrics", stop)
		}
	}
}

// Paths that pass through in parts, or on several devices, give the step of all at
// once; the peer terms of the parts weigh by their positions.
func TestMicroBatchesAddUp(t *testing.T) {
	cfg := mixedConfig(t)
	cfg.Peer.Variance, cfg.Peer.Covariance = new(0.0), new(0.0) // these are means of the parts by design
	cfg.Students[0].LoRA.Dropout = 0                            // and this drops by position
	cfg.Students[1].LoRA.Dropout = 0
	for _, s := range []int{0, 1} {
		var want stepResult
		var hash []float32
		for _, micro := range []int{0, 1, 4} {
			cfg.MicroBatch = micro
			tr := testTrainer(t, cfg, 5)
			st := tr.students[s]
			in := trainInput{paths: []int{0, 1, 2, 3, 4, 5}, own: []bool{true, false, true, true, false, true}, most: 6, lr: 0.01}
			in.ensemble = &ensemble{per: tr.per, dim: 4, lr: 0.01, target: make([]float32, 6*tr.per*4)}
			r, err := st.train(in)
			if err != nil {
				t.Fatal(err)
			}
			if micro == 0 {
				want, hash = r, slices.Clone(st.proj[0].Data)
				continue
			}
			if math.Abs(r.loss-want.loss) > 1e-5 || math.Abs(r.term(1)-want.term(1)) > 1e-5 || math.Abs(r.gradNorm-want.gradNorm) > 1e-4 || r.tokens != want.tokens {
				t.Errorf("student %d in parts of %d: %+v, at once %+v", s, micro, r, want)
			}
			for i, v := range st.proj[0].Data {
				if math.Abs(float64(v-hash[i])) > 1e-3 {
					t.Errorf("student %d in parts of %d: projection %v, at once %v", s, micro, v, hash[i])
					break
				}
			}
		}
	}
}

// A student's devices are its own, or its share of the stage's.
func TestStudentDevices(t *testing.T) {
	for _, c := range []struct {
		own, stages stage.Names
		n           int
		want        []string
	}{
		{nil, nil, 2, []string{"auto", "auto"}},
		{nil, stage.Names{"[cuda:0, cuda:1]"}, 2, []string{"cuda:0", "cuda:1"}},
		{nil, stage.Names{"cuda:0", "cuda:1", "cuda:2"}, 2, []string{"cuda:0 cuda:2", "cuda:1"}},
		{nil, stage.Names{"cuda:0", "cuda:1"}, 1, []string{"cuda:0 cuda:1"}},
		{stage.Names{"cuda:2", "cuda:3"}, stage.Names{"cpu"}, 2, []string{"cuda:2 cuda:3", "cuda:2 cuda:3"}},
	} {
		for i, want := range c.want {
			var got []string
			_, err := (studentPlan{device: c.own}).devices(c.stages, i, c.n, func(name string) (*device.Device, error) {
				got = append(got, name)
				return nil, nil
			})
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("own %q, stage's %q: student %d of %d gets %v, %v; want %s", c.own, c.stages, i, c.n, got, err, want)
			}
		}
	}
}

// A checkpoint is written when the last one is old, whatever the steps.
func TestCheckpointByTheClock(t *testing.T) {
	cfg := smallConfig()
	cfg.CheckpointEvery, cfg.CheckpointMinutes, cfg.WarmupSteps, cfg.MaxSteps = 1000, 2, 0, 5
	tr := testTrainer(t, cfg, 1)
	clock := time.Unix(0, 0)
	tr.now = func() time.Time { return clock }
	var at []int
	tr.checkpoint = func() error { at = append(at, tr.step); return nil }
	tr.onStep = func(int, int, map[string]float64) { clock = clock.Add(time.Minute) }
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(at, []int{2, 4}) {
		t.Errorf("saved after steps %v, want 2 and 4", at)
	}
}

// Routing stops early once no student's dev loss gets better.
func TestPatienceStopsRouting(t *testing.T) {
	cfg := smallConfig()
	cfg.WarmupSteps, cfg.Epochs, cfg.MaxSteps = 0, 50, 40
	cfg.DevFraction, cfg.EvalEvery, cfg.Patience, cfg.Select = 0.3, 1, 2, "best"
	for i := range cfg.Students {
		cfg.Students[i].LR = 3 // far too much: nothing gets better
	}
	tr := testTrainer(t, cfg, 2)
	if err := tr.run(t.Context()); err != nil && !strings.Contains(err.Error(), "not finite") {
		t.Fatal(err)
	}
	if tr.step >= 40 {
		t.Errorf("went on for all %d steps", tr.step)
	}
}

// train-sft trains a student from scratch, whole or frozen and adapted, and what it
// hands on is evaluated like any other.
func TestSFTFromScratch(t *testing.T) {
	digests := map[string]string{}
	for name, more := range map[string]string{
		"whole":   ``,
		"adapted": `, "lora": {"r": 2, "targets": ["*_proj"], "dropout": 0}, "pretrain_steps": 40, "log_every": 10`,
		"longer":  `, "lora": {"r": 2, "targets": ["*_proj"], "dropout": 0}, "pretrain_steps": 40, "log_every": 10, "epochs": 2`,
	} {
		dir := t.TempDir()
		cfg := fmt.Sprintf(`{"name": "s", "d_model": 16, "layers": 1, "heads": 1, "max_steps": 20, "lr": 0.01, "select": "last"%s}`, more)
		out, err := runStage(t, context.Background(), "train-sft", dir, cfg, 1, map[string]stage.Input{
			"paths": writeRows(t, filepath.Join(dir, "paths.jsonl"), taught(t, 12, false)),
		}, stage.Services{})
		if err != nil {
			t.Fatal(name, err)
		}
		rows := readRows[schema.Metric](t, out["metrics"])
		if losses := append(metric(rows, "warmup_loss"), metric(rows, "loss")...); len(losses) < 2 || !(losses[len(losses)-1] < losses[0]) {
			t.Errorf("%s: losses %v", name, losses)
		}
		weights, err := os.ReadFile(filepath.Join(out["models"], "s", "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		digests[name] = string(weights)
		if _, err := os.Stat(filepath.Join(out["models"], "s", "adapter_model.safetensors")); (err == nil) != (name != "whole") {
			t.Errorf("%s: adapters: %v", name, err)
		}
		next := t.TempDir()
		scores, err := runStage(t, context.Background(), "evaluate-students", next, `{"max_new": 8}`, 1, map[string]stage.Input{
			"models":   {Path: out["models"], Label: "models"},
			"problems": writeRows(t, filepath.Join(next, "test.jsonl"), testProblems(3)),
		}, stage.Services{})
		if err != nil {
			t.Fatal(name, err)
		}
		if n := len(readRows[schema.Prediction](t, scores["predictions"])); n != 6 {
			t.Errorf("%s: %d predictions, want 6", name, n)
		}
	}
	if digests["adapted"] != digests["longer"] {
		t.Error("the base of a student from scratch depends on how long its adapters were trained")
	}
}

// A recipe may mix students; files of the models count for the key by content.
func TestMixedStudentsAsStage(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	writeBase(t, base)
	before := digestOf(t, base)
	students, err := json.Marshal([]map[string]any{
		{"name": "big", "model": base, "lora": map[string]any{"r": 2}},
		{"name": "small", "d_model": 8, "layers": 1, "heads": 1, "vocab": 96},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := fmt.Sprintf(`{"students": %s, "warmup_steps": 2, "max_steps": 3, "batch": 4, "log_every": 1}`, students)
	out, err := runStage(t, context.Background(), "train-moe", dir, cfg, 1, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "paths.jsonl"), taught(t, 6, false)),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, base) != before {
		t.Error("training changed the base")
	}
	for _, f := range []string{"big/adapter_model.safetensors", "big/student.json", "small/model.safetensors", "untrained/big/student.json", "../train-moe.tensorboard/events.out.tfevents.0.distillflow", "../train-moe.tensorboard/big/events.out.tfevents.0.distillflow"} {
		if _, err := os.Stat(filepath.Join(out["models"], f)); err != nil {
			t.Error(err)
		}
	}
	next := t.TempDir()
	if _, err := runStage(t, context.Background(), "evaluate-students", next, `{"max_new": 8}`, 1, map[string]stage.Input{
		"models":   {Path: out["models"], Label: "models"},
		"problems": writeRows(t, filepath.Join(next, "test.jsonl"), testProblems(3)),
	}, stage.Services{}); err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal([]byte(cfg), &tree); err != nil {
		t.Fatal(err)
	}
	c, errs := TrainMoE.Decode(tree)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	ext, err := c.Externals(t.Context())
	if err != nil || len(ext) == 0 || !strings.HasPrefix(ext[0].Name, "big/") {
		t.Errorf("files %v, %v", ext, err)
	}
}

// A student's model that is not there is named by its place in the recipe.
func TestMissingModelIsNamed(t *testing.T) {
	c, errs := TrainMoE.Decode(map[string]any{"students": []any{
		map[string]any{"name": "a"}, map[string]any{"name": "b", "model": filepath.Join(t.TempDir(), "gone")},
	}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	_, err := c.Externals(t.Context())
	bad := stage.FieldErrors(err)
	if len(bad) != 1 || strings.Join(bad[0].Path, ".") != "students.1.model" || !strings.Contains(bad[0].Msg, "no such folder") {
		t.Errorf("%+v", bad)
	}
}

// Two adapters on one frozen base: its weights are read once, in training and in
// evaluation, and stay as they are. Another precision is another base.
func TestAdaptersShareTheirBase(t *testing.T) {
	cfg := mixedConfig(t)
	cfg.Students[1] = cfg.Students[0]
	cfg.Students[1].Name = "b"
	tr := testTrainer(t, cfg, 3)
	defer tr.close()
	weightsOf := func(s *student) []float32 {
		p, err := decoder.HostParams(s.model.Base().Args)
		if err != nil {
			t.Fatal(err)
		}
		return p[1].F32
	}
	a, b := weightsOf(tr.students[0]), weightsOf(tr.students[1])
	if len(tr.bases.open) != 1 || &a[0] != &b[0] {
		t.Fatalf("%d bases are open, the students' lie at %p and %p", len(tr.bases.open), a, b)
	}
	before := slices.Clone(a)
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a, before) {
		t.Error("training changed the frozen base")
	}
	if tr.students[0].params.Hash() == tr.students[1].params.Hash() {
		t.Error("both students have the same adapters")
	}
	dir := t.TempDir()
	var shared bases
	for _, s := range tr.students {
		at := filepath.Join(dir, s.name)
		if err := s.save(at, true); err != nil {
			t.Fatal(err)
		}
		if _, err := loadStudent(t.Context(), s.devs[0], at, 1, &shared); err != nil {
			t.Fatal(err)
		}
	}
	if len(shared.open) != 1 {
		t.Errorf("evaluation opened %d bases", len(shared.open))
	}
	cfg.Students[1].Quantize = quantizeNF4
	other := testTrainer(t, cfg, 3)
	defer other.close()
	if len(other.bases.open) != 2 {
		t.Errorf("%d bases are open, one of them in 4 bits", len(other.bases.open))
	}
}
