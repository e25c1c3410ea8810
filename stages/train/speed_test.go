package train

import (
	"testing"
	"time"
)

// Every step tells how fast it was and how much memory is in use, by the clock and in no
// output.
func TestSpeed(t *testing.T) {
	tr := testTrainer(t, smallConfig(), 1)
	clock := time.Unix(0, 0)
	tr.now = func() time.Time { clock = clock.Add(time.Second); return clock }
	var tokens, padded float64
	tr.onStep = func(step, total int, values map[string]float64) {
		tokens, padded = tokens+values["tokens/s"], padded+values["padded_tokens/s"]
		if m := values["memory_gib"]; m <= 0 || m > 1<<10 {
			t.Errorf("step %d: %v GiB in use", step, m)
		}
	}
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A call of the clock before a step and one behind it: each takes a second.
	real, all := tr.tokens()
	if tokens != float64(real) || padded != float64(all) || real == 0 {
		t.Errorf("%v tokens a second and %v with padding, altogether there were %d and %d", tokens, padded, real, all)
	}
	for _, m := range tr.metrics {
		if m.Name == "tokens/s" || m.Name == "memory_gib" {
			t.Errorf("an output holds %s", m.Name)
		}
	}
}
