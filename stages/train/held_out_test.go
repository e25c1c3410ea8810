package train

import (
	"path/filepath"
	"slices"
	"testing"
)

func heldOutConfig() trainConfig {
	cfg := gainConfig()
	cfg.Router.Signal = new(signalHeldOut)
	return cfg
}

// With signal: held-out the router learns from paths that no student trains on; the router's
// log has the others alone.
func TestHeldOutTeachesTheRouter(t *testing.T) {
	tr := testTrainer(t, heldOutConfig(), 3)
	r, enc, err := tr.trial(0, 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.paths) != 5 || len(r.adv) != 5 || len(r.chosen) != 5 || len(enc) != 5*len(tr.encoded[0]) {
		t.Fatalf("%d paths, %d advantages, %d decisions, %d numbers of encodings: want 5 of each", len(r.paths), len(r.adv), len(r.chosen), len(enc))
	}
	for i, p := range r.paths {
		if p < tr.gainFrom || p >= len(tr.paths) {
			t.Errorf("path %d is trained on or measures the dev loss: those of the router are %d to %d", p, tr.gainFrom, len(tr.paths)-1)
		}
		if r.cost[i][0] <= 0 || r.adv[i][0]+r.adv[i][1] != 1 || (r.adv[i][0] < r.adv[i][1]) != (r.cost[i][0] <= r.cost[i][1]) {
			t.Errorf("path %d: costs %v, advantages %v", p, r.cost[i], r.adv[i])
		}
	}
	if again, _, err := tr.trial(0, 5); err != nil || !slices.Equal(again.paths, r.paths) {
		t.Errorf("the same step draws %v, then %v (%v)", r.paths, again.paths, err)
	}
	before := tr.router.params.Hash()
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tr.router.params.Hash() == before {
		t.Error("the router did not learn")
	}
	for _, d := range tr.routings {
		if gainHeld(d.ID) && held(d.ID, tr.plan.devFraction) {
			t.Errorf("%s is held out and was routed", d.ID)
		}
	}
}

// A run goes on from a checkpoint to the same bits.
func TestHeldOutResumes(t *testing.T) {
	whole := testTrainer(t, heldOutConfig(), 7)
	path := filepath.Join(t.TempDir(), stateFile)
	whole.checkpoint = func() error {
		if whole.step == 6 {
			return whole.save(path)
		}
		return nil
	}
	if err := whole.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := testTrainer(t, heldOutConfig(), 7)
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
