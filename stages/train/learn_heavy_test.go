package train

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
)

// heavyRows is the size of the sample data's training set.
const heavyRows = 1600

// The students must have learned, not memorised or guessed: on held-out number
// combinations each beats its untrained self and the most frequent answer with
// disjoint intervals, for every seed. With reasoning that belongs to other
// questions the same training must teach nothing.
func TestStudentsLearnAndShuffledGoldDoesNot(t *testing.T) {
	heavy(t)
	cfg := os.Getenv("DISTILLFLOW_TEST_CONFIG")
	if cfg == "" {
		cfg = `{}`
	}
	seeds := 3
	if n, err := strconv.Atoi(os.Getenv("DISTILLFLOW_TEST_SEEDS")); err == nil {
		seeds = n
	}
	rows := taught(t, heavyRows, false)
	svc := stage.Services{Progress: func(p stage.Progress) {
		if p.Unit == "steps" && p.Done%100 == 0 {
			t.Logf("%s %d/%d %v", time.Now().Format("15:04:05"), p.Done, p.Total, p.Values)
		}
	}}
	for seed := range uint64(seeds) {
		start := time.Now()
		m, _ := trainAndEvaluate(t, seed+1, rows, testProblems(160), cfg, svc)
		t.Logf("seed %d, %.0f s: %s", seed+1, time.Since(start).Seconds(), showScores(m))
		base := m["majority/baseline"]
		for _, name := range []string{"llama", "gemma"} {
			s := m[name+"/trained"]
			if u := m[name+"/untrained"]; s.Low <= u.High {
				t.Errorf("seed %d: %s [%.3f, %.3f] does not beat its untrained self [%.3f, %.3f]", seed+1, name, s.Low, s.High, u.Low, u.High)
			}
			if s.Low <= base.High {
				t.Errorf("seed %d: %s [%.3f, %.3f] does not beat the majority answer [%.3f, %.3f]", seed+1, name, s.Low, s.High, base.Low, base.High)
			}
		}
	}
	if seeds == 0 || os.Getenv("DISTILLFLOW_TEST_SEEDS") == "" {
		m, _ := trainAndEvaluate(t, 1, taught(t, heavyRows, true), testProblems(160), cfg, svc)
		t.Logf("shuffled: %s", showScores(m))
		base := m["majority/baseline"]
		for _, name := range []string{"llama", "gemma"} {
			if s := m[name+"/trained"]; s.Low > base.High {
				t.Errorf("%s learned from shuffled golds: [%.3f, %.3f]", name, s.Low, s.High)
			}
		}
	}
}
