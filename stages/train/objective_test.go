package train

import (
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/objective"
)

// smallStates is a toy: states near zero.
func smallStates(weight float64) term {
	return term{weight: weight, Term: objective.Term{Name: "state_norm", Reads: []string{causal.InHidden}, Loss: func(in objective.Nodes) *Node {
		return ReduceAllMean(Square(in.Get(causal.InHidden)))
	}}}
}

// softLabels is a toy that has inputs of its own: the logits follow a teacher's, here
// always the uniform distribution.
func softLabels(weight float64, vocab int) term {
	const inTeacher = "teacher" // [N, V]
	return term{
		weight: weight,
		Term: objective.Term{Name: "soft_label_loss", Reads: []string{causal.InLogits, inTeacher}, Loss: func(in objective.Nodes) *Node {
			return Neg(ReduceAllMean(ReduceSum(Mul(in.Get(inTeacher), LogSoftmax(in.Get(causal.InLogits), -1)), -1)))
		}},
		feed: func(p *pass) ([]objective.Input, float32) {
			n := len(p.batch.Labels)
			want := make([]float32, n*vocab)
			for i := range want {
				want[i] = 1 / float32(vocab)
			}
			return []objective.Input{{Name: inTeacher, Value: want, Dims: []int{n, vocab}}}, float32(len(p.paths)) / float32(len(p.step.paths))
		},
	}
}

// sureRouter is a toy term of the router.
func sureRouter(weight float64) term {
	return term{weight: weight, Term: objective.Term{Name: "score_norm", Reads: []string{inScores}, Loss: func(in objective.Nodes) *Node {
		return ReduceAllMean(Square(in.Get(inScores)))
	}}}
}

// A new term is a function such as those above and a line in a method: it is trained on
// in every phase and by every kind of student, and its metric has its name.
func TestNewTerms(t *testing.T) {
	cfg := smallConfig()
	cfg.WarmupSteps, cfg.MaxSteps, cfg.LogEvery, cfg.MicroBatch = 2, 2, 1, 4
	cfg.Students[0] = mixedConfig(t).Students[0]
	cfg.MaxSeq = 256
	run := func(add ...term) *trainer {
		p := cfg.plan()
		p.losses = append(p.losses, add...)
		if len(add) > 0 {
			p.route.losses = append(p.route.losses, sureRouter(1))
		}
		tr, _, err := newTrainer(t.Context(), p, 3, openCPU, testPaths(t, 6))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.close)
		if err := tr.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return tr
	}
	plain, more := run(), run(smallStates(0.1))
	for i, g := range more.groups() {
		if g.params.Hash() == plain.groups()[i].params.Hash() && g.opt != nil {
			t.Errorf("%s: the new terms changed nothing", g.name)
		}
	}
	for _, want := range []struct {
		student, name string
		values        int
	}{{"a", "state_norm", 4}, {"b", "state_norm", 4}, {"", "score_norm", 2}} {
		n := 0
		for _, m := range more.metrics {
			if m.Student == want.student && m.Name == want.name && m.Value > 0 {
				n++
			}
		}
		if n < want.values-1 { // a student may get no path in a routed step
			t.Errorf("%d values of %s of student %q, want %d", n, want.name, want.student, want.values)
		}
	}

	// Whole logits of one vocabulary: a stage with one student.
	p := cfg.plan()
	p.route, p.students = nil, p.students[:1]
	p.losses = append(supervised(), softLabels(5, 104))
	tr, _, err := newTrainer(t.Context(), p, 3, openCPU, testPaths(t, 6))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := metric(tr.metrics, "soft_label_loss"); len(v) != 4 || !(v[3] < v[0]) {
		t.Errorf("soft_label_loss is %v: want four values that fall", v)
	}

	// What a term reads it must say: trainers compute no more than that.
	secret := smallStates(1)
	secret.Reads = nil
	p = cfg.plan()
	p.losses = append(p.losses, secret)
	if tr, _, err = newTrainer(t.Context(), p, 3, openCPU, testPaths(t, 6)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	if err := tr.run(t.Context()); err == nil || !strings.Contains(err.Error(), `term state_norm reads "hidden" and does not say so`) {
		t.Errorf("a term that reads in secret: %v", err)
	}
}
