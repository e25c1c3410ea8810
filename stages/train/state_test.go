package train

import (
	"path/filepath"
	"testing"

	"github.com/distillflow/distillflow/schema"
)

// manyPaths lets a trainer stand for one with n paths that have all been routed.
func (t *trainer) manyPaths(n int) {
	for i := range n {
		p := t.paths[i%len(t.lengths)]
		t.paths = append(t.paths, p)
		t.routings = append(t.routings, schema.RouterDecision{
			Epoch: 1, Step: i, ID: p.id, Style: p.style, Student: "a", Probs: map[string]float64{"a": 0.25, "b": 0.75},
		})
	}
}

// A checkpoint costs what is new since the last one, however many paths there are and
// however much has been recorded.
func TestCheckpointCostsWhatIsNew(t *testing.T) {
	cost := func(n int) float64 {
		tr := testTrainer(t, smallConfig(), 1)
		tr.manyPaths(n)
		path := filepath.Join(t.TempDir(), stateFile)
		save := func() {
			if err := tr.save(path); err != nil {
				t.Fatal(err)
			}
		}
		save()
		return testing.AllocsPerRun(3, save)
	}
	few, many := cost(10), cost(2000)
	if many > few+100 {
		t.Errorf("saving again allocates %v times with 2000 paths, %v times with 10", many, few)
	}
}

// A state belongs to a run of the same config, seed, encoder and paths, and to no other.
func TestIdentify(t *testing.T) {
	tr := testTrainer(t, smallConfig(), 1)
	seen := map[string]string{}
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"nothing", func() {}},
		{"config", func() { c := smallConfig(); c.MaxSteps++; tr.plan.config = c }},
		{"seed", func() { tr.seed++ }},
		{"encoder", func() { tr.encoder = "other" }},
		{"id", func() { tr.paths[0].id += "x" }},
		{"style", func() { tr.paths[0].style += "x" }},
		{"index", func() { tr.paths[0].index++ }},
		{"prompt", func() { tr.paths[0].prompt += "x" }},
		{"response", func() { tr.paths[0].response += "x" }},
		{"fewer paths", func() { tr.paths = tr.paths[1:] }},
	} {
		c.change()
		id, err := tr.identify()
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[id]; ok {
			t.Errorf("%s changes nothing since %s", c.name, before)
		}
		seen[id] = c.name
	}
}

// GSM8K's training set in six styles has 44,838 right paths.
func BenchmarkSaveState(b *testing.B) {
	tr := testTrainer(b, smallConfig(), 1)
	tr.manyPaths(44838)
	path := filepath.Join(b.TempDir(), stateFile)
	for b.Loop() {
		if err := tr.save(path); err != nil {
			b.Fatal(err)
		}
	}
}
