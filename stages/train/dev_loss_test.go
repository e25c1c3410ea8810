package train

import (
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// select: best hands on the weights of the lowest dev loss, not the last ones, and
// select: last the last ones.
func TestBestWeightsAreKept(t *testing.T) {
	for _, choice := range []string{"best", "last"} {
		cfg := smallConfig()
		cfg.WarmupSteps, cfg.Epochs, cfg.MaxSteps, cfg.LRWarmup = 0, 9, 8, 0
		cfg.DevFraction, cfg.EvalEvery, cfg.Select = 0.3, 1, choice
		tr := testTrainer(t, cfg, 2)
		at := map[int][]weights.Set{} // step -> what each student was then
		tr.onStep = func(step, _ int, _ map[string]float64) {
			for _, s := range tr.students {
				at[step] = append(at[step], s.params.Clone())
				if step == 4 {
					s.spec.rate *= -1 // from here on training climbs, a little at each step
				}
			}
		}
		if err := tr.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, s := range tr.students {
			var losses []float64 // before the first step and after each
			for _, m := range tr.metrics {
				if m.Name == "dev_loss" && m.Student == s.name {
					losses = append(losses, m.Value)
				}
			}
			best := slices.Index(losses, slices.Min(losses))
			if len(losses) != 9 || best == 0 || best > 4 {
				t.Fatalf("student %s: dev losses %v show nothing: want the lowest among the first four steps", s.name, losses)
			}
			want := at[8][i]
			if choice == "best" {
				want = at[best][i]
			}
			if s.kept().Hash() != want.Hash() {
				t.Errorf("select: %s: student %s does not hand on the weights of step %d of dev losses %v", choice, s.name, best, losses)
			}
		}
	}
}
