package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// smallConfig is the default config with tiny students and few steps.
func smallConfig() trainConfig {
	return trainConfig{
		Students: []studentConfig{
			{Name: "a", Base: Base{Arch: "llama", DModel: 8, Layers: 1, Heads: 1, Tokenizer: "word", Vocab: 96, LR: 0.01, PretrainLR: 0.01, LoRA: smallLoRA}},
			{Name: "b", Base: Base{Arch: "gemma", DModel: 8, Layers: 1, Heads: 1, Tokenizer: "bpe", Vocab: 96, LR: 0.01, PretrainLR: 0.01, LoRA: smallLoRA}},
		},
		Method: methodCorrected, Quality: Quality{true, true}, MaxSeq: 128, WarmupSteps: 4, WarmupBatch: 3, Epochs: 1, MaxSteps: 5, Batch: 6,
		LRWarmup: 2, LRFloor: 0.1,
		Router: Router{GainEvery: 2, Balance: new(0.1), LR: new(0.01), Hidden: 8, EncoderDim: 16}, Peer: Peer{Dim: 4, Temperature: 0.1},
		Optimization: Optimization{Schedule: "cosine", ClipNorm: 1}, LogEvery: 2, Saving: Saving{CheckpointEvery: 3},
	}
}

// smallLoRA is what adapters are like where a rank asks for them.
var smallLoRA = LoRA{Alpha: 8, Dropout: 0.1, Targets: []string{"q_proj", "down_proj"}}

func testPaths(t testing.TB, problems int) []trainPath {
	t.Helper()
	var out []trainPath
	for _, p := range taught(t, problems, false) {
		for i, q := range p.Paths {
			if usable(q, Quality{true, true}) {
				out = append(out, trainPath{id: p.ID, style: q.Style, index: i, question: p.Question, prompt: plainPrompt(p.Question), response: q.Response})
			}
		}
	}
	return out
}

func testTrainer(t testing.TB, cfg trainConfig, seed uint64) *trainer {
	t.Helper()
	tr, _, err := newTrainer(t.Context(), cfg.plan(), seed, openCPU, testPaths(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	return tr
}

func openCPU(string) (*device.Device, error) { return device.Open(device.CPU) }

func hashes(t *trainer) []uint64 {
	var h []uint64
	for _, g := range t.groups() {
		h = append(h, g.params.Hash())
	}
	return h
}

func TestSameSeedSameBits(t *testing.T) {
	ctx := context.Background()
	a, b, c := testTrainer(t, smallConfig(), 1), testTrainer(t, smallConfig(), 1), testTrainer(t, smallConfig(), 2)
	for _, tr := range []*trainer{a, b, c} {
		if err := tr.run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(hashes(a), hashes(b)) {
		t.Error("the same seed gave other weights")
	}
	if slices.Equal(hashes(a), hashes(c)) {
		t.Error("another seed gave the same weights")
	}
	for i := range a.routings {
		x, y := a.routings[i], b.routings[i]
		if x.ID != y.ID || x.Student != y.Student || x.Probs["a"] != y.Probs["a"] {
			t.Fatalf("decision %d differs: %+v, %+v", i, x, y)
		}
	}
}

// Everything that is meant to learn moves: both students, projections, the router
// and the ensemble's weights.
func TestEverythingTrains(t *testing.T) {
	cfg := smallConfig()
	cfg.Epochs, cfg.MaxSteps = 3, 12
	tr := testTrainer(t, cfg, 3)
	var before []weights.Set
	for _, g := range tr.groups() {
		before = append(before, g.params.Clone())
	}
	if err := tr.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, g := range tr.groups() {
		for j, x := range g.params {
			if slices.Equal(x.Data, before[i][j].Data) {
				t.Errorf("%s: %s did not change", g.name, x.Name)
			}
		}
	}
	seen := map[string]int{}
	for _, m := range tr.metrics {
		seen[m.Name]++
		if math.IsNaN(m.Value) {
			t.Errorf("%s is NaN", m.Name)
		}
		if m.Name == "router_grad_norm" && m.Value < 1e-6 {
			t.Errorf("step %d: the router's gradient is %v", m.Step, m.Value)
		}
	}
	for _, name := range []string{"route_loss", "path_entropy", "mean_entropy", "peer_loss", "peer_grad_ratio", "gamma", "peer_coverage", "nll_per_byte", "share"} {
		if seen[name] == 0 {
			t.Errorf("metric %s is missing", name)
		}
	}
	if len(tr.routings) == 0 {
		t.Fatal("no routing decision was logged")
	}
	for _, r := range tr.routings {
		if math.Abs(r.Probs["a"]+r.Probs["b"]-1) > 1e-9 || r.Epoch < 1 || r.Style == "" || (r.Student != "a" && r.Student != "b") {
			t.Fatalf("bad decision %+v", r)
		}
	}
}

// Selecting rows on the host equals the dense masked computation: a student's step
// on its own rows and one on all rows with weight zero elsewhere are the same up
// to rounding.
func TestRoutedRowsEqualDenseMask(t *testing.T) {
	cfg := smallConfig()
	cfg.Peer.Weight = new(0.0)
	tr := testTrainer(t, cfg, 4)
	r := &routed{paths: []int{0, 1, 2, 3, 4, 5}, chosen: []int{0, 1, 0, 0, 1, 0}}
	s := tr.students[0]
	grads := func(rows []int) ([][]float32, float64) {
		own := make([]bool, len(rows))
		for k, i := range rows {
			own[k] = r.chosen[i] == 0
		}
		b, _, err := s.batches(trainInput{paths: pick(r.paths, rows), own: own, most: 6})
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.tuner.Gradients(b...)
		if err != nil {
			t.Fatal(err)
		}
		return res.Grads, res.Terms[0]
	}
	routedG, routedL := grads(r.rowsOf(0, false))
	denseG, denseL := grads(r.rowsOf(0, true))
	if math.Abs(routedL-denseL) > 1e-5 {
		t.Errorf("loss %v, dense %v", routedL, denseL)
	}
	for i := range routedG {
		for j := range routedG[i] {
			if math.Abs(float64(routedG[i][j]-denseG[i][j])) > 1e-5 {
				t.Fatalf("%s[%d]: %v, dense %v", s.params[i].Name, j, routedG[i][j], denseG[i][j])
			}
		}
	}
	// The loss is the mean over the supervised tokens of the student's own paths.
	nll, _, err := s.forward(r.paths, 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	tokens := 0
	for i, c := range r.chosen {
		if c == 0 {
			sum += nll[i]
			tokens += s.seqs[i].supervised()
		}
	}
	if want := sum / float64(tokens); math.Abs(routedL-want) > 1e-4 {
		t.Errorf("loss %v, want %v", routedL, want)
	}
}

// A student that gets no path is left alone: no step, no weight decay.
func TestNoPathNoStep(t *testing.T) {
	for _, lambda2 := range []float64{0, 0.1} {
		cfg := smallConfig()
		cfg.Peer.Weight, cfg.WeightDecay = new(lambda2), 0.5
		tr := testTrainer(t, cfg, 5)
		r := &routed{paths: []int{0, 1, 2, 3}}
		if err := tr.forwardAll(r); err != nil {
			t.Fatal(err)
		}
		r.chosen = []int{0, 0, 0, 0}
		before := tr.students[1].params.Hash()
		if _, err := tr.trainStudents(r, 0, false); err != nil {
			t.Fatal(err)
		}
		if tr.students[1].params.Hash() != before || tr.students[1].opt.T != 0 {
			t.Errorf("lambda2 %v: a student without paths was trained", lambda2)
		}
		if tr.students[0].opt.T != 1 {
			t.Errorf("lambda2 %v: the other student was not trained", lambda2)
		}
	}
}

func TestPeerRowsAll(t *testing.T) {
	cfg := smallConfig()
	cfg.Peer.Rows = new("all")
	if err := testTrainer(t, cfg, 6).run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Stopping at any step and resuming gives the bits of an uninterrupted run, as
// does falling back to an older checkpoint.
func TestResumeGivesTheSameBits(t *testing.T) {
	ctx := context.Background()
	whole := testTrainer(t, smallConfig(), 7)
	if err := whole.run(ctx); err != nil {
		t.Fatal(err)
	}
	// Before the first checkpoint, at the first routed step, between two checkpoints.
	for _, stop := range []int{2, 4, 8} {
		for _, killed := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), stateFile)
			first := testTrainer(t, smallConfig(), 7)
			cctx, cancel := context.WithCancelCause(ctx)
			first.checkpoint = func() error {
				if killed && cctx.Err() != nil {
					return nil
				}
				return first.save(path)
			}
			first.onStep = func(step, _ int, _ map[string]float64) {
				if step >= stop {
					cancel(errors.New("stopped"))
				}
			}
			if err := first.run(cctx); err == nil {
				t.Fatalf("stop at %d: ran to the end", stop)
			}
			second := testTrainer(t, smallConfig(), 7)
			resumed, err := second.restore(path)
			if err != nil {
				t.Fatal(err)
			}
			if resumed != (second.step > 0) || !killed && second.step != first.step || killed && second.step >= first.step {
				t.Fatalf("stop at %d, killed %v: resumed %v at step %d", stop, killed, resumed, second.step)
			}
			if err := second.run(ctx); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(hashes(second), hashes(whole)) {
				t.Errorf("stop at %d, resumed at %v: other weights", stop, resumed)
			}
			if !reflect.DeepEqual(second.routings, whole.routings) || !slices.Equal(second.metrics, whole.metrics) {
				t.Errorf("stop at %d: %d decisions and %d metrics, want %d and %d", stop, len(second.routings), len(second.metrics), len(whole.routings), len(whole.metrics))
			}
		}
	}
}

func TestRestoreIgnoresOtherAndBrokenStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), stateFile)
	a := testTrainer(t, smallConfig(), 8)
	a.step = 3
	if err := a.save(path); err != nil {
		t.Fatal(err)
	}
	other := smallConfig()
	other.Router.Balance = new(0.2)
	for name, b := range map[string]*trainer{"seed": testTrainer(t, smallConfig(), 9), "config": testTrainer(t, other, 8)} {
		if ok, err := b.restore(path); ok || err != nil || b.step != 0 {
			t.Errorf("another %s: restored %v, %v", name, ok, err)
		}
	}
	if ok, err := testTrainer(t, smallConfig(), 8).restore(path); !ok || err != nil {
		t.Errorf("its own state: %v, %v", ok, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(data)
	flipped[len(flipped)-5] ^= 1
	for name, bad := range map[string][]byte{"empty": nil, "short": data[:100], "flipped": flipped} {
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		b := testTrainer(t, smallConfig(), 8)
		if ok, err := b.restore(path); ok || err != nil || b.step != 0 {
			t.Errorf("%s: restored %v, %v", name, ok, err)
		}
	}
}

func TestNotFiniteLossIsNamed(t *testing.T) {
	tr := testTrainer(t, smallConfig(), 10)
	tr.students[1].params[0].Data[idxOfUsedRow(tr)] = float32(math.Inf(1))
	err := tr.run(context.Background())
	if err == nil {
		t.Fatal("training went on with an infinite weight")
	}
	for _, want := range []string{"student b", "not finite", "step"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}

// idxOfUsedRow is an element of the embedding of a token that every path has.
func idxOfUsedRow(tr *trainer) int {
	return int(tr.students[1].tok.Special().BOS) * tr.students[1].config.Dim
}
