package train

import (
	"math"
	"path/filepath"
	"slices"
	"testing"
)

func gainConfig() trainConfig {
	cfg := smallConfig()
	cfg.Router.Signal, cfg.DevFraction, cfg.LogEvery, cfg.Epochs = new(signalGain), 0.5, 1, 3
	return cfg
}

// The gain is the product of the gradients of the held-out loss and of the path's.
func TestGainIsAProductOfGradients(t *testing.T) {
	tr := testTrainer(t, gainConfig(), 3)
	s := tr.students[0]
	var heldOut []int
	for i := tr.gainFrom; i < len(tr.paths); i++ {
		heldOut = append(heldOut, i)
	}
	if len(heldOut) == 0 || tr.gainFrom == len(tr.lengths) {
		t.Fatalf("%d paths to train on, %d in all, gains from %d: want some of each", len(tr.lengths), len(tr.paths), tr.gainFrom)
	}
	for i := len(tr.lengths); i < len(tr.paths); i++ {
		if gainHeld(tr.paths[i].id) != (i >= tr.gainFrom) {
			t.Errorf("path %d of %s is on the wrong side", i, tr.paths[i].id)
		}
	}
	before := s.params.Hash()
	r := &routed{paths: []int{0, 1, 2}}
	if err := tr.forwardAll(r); err != nil {
		t.Fatal(err)
	}
	a, err := tr.gains(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.params.Hash() != before {
		t.Error("measuring the gain changed the student")
	}
	for i, p := range r.paths {
		own, err := s.lossGradient([]int{p}, 6)
		if err != nil {
			t.Fatal(err)
		}
		var dot float64
		for k, x := range own {
			for j, v := range x.Data {
				dot += float64(v) * float64(s.gain[k].Data[j])
			}
		}
		want := -dot * float64(s.seqs[p].supervised()) / float64(len(tr.paths[p].response))
		if math.Abs(a[i][0]-want) > 0.05*math.Abs(want) {
			t.Errorf("path %d: advantage %v, want %v", i, a[i][0], want)
		}
	}
}

// A run by gains learns, logs them, and goes on from a checkpoint to the same bits.
func TestGainResumes(t *testing.T) {
	whole := testTrainer(t, gainConfig(), 7)
	whole.plan.route.gainEvery = 3
	path := filepath.Join(t.TempDir(), stateFile)
	whole.checkpoint = func() error {
		if whole.step == 6 { // the second routed step: its gradient is of the first
			return whole.save(path)
		}
		return nil
	}
	if err := whole.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := metric(whole.metrics, "gain"); len(v) != 10 || slices.Max(v) == 0 {
		t.Errorf("gains %v: want one for each student and step", v)
	}
	second := testTrainer(t, gainConfig(), 7)
	second.plan.route.gainEvery = 3
	if ok, err := second.restore(path); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := second.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(hashes(second), hashes(whole)) {
		t.Error("resumed: other weights")
	}
}
