package bundle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
)

// Verdict says how a stage's result compares with the run's.
type Verdict string

// The verdicts.
const (
	Equal    Verdict = "equal"    // it ran and gave the same bytes
	Packed   Verdict = "packed"   // the bundle's own result was taken
	Deviates Verdict = "deviates" // it gave other bytes
	Missing  Verdict = "missing"  // it failed, or did not run because of another stage
)

// Compared is one stage of a replay.
type Compared struct {
	Stage   string
	Verdict Verdict
	Reason  string // for Deviates and Missing
}

// compare lists the stages of the lock, in the order of the run, and then what
// the lock does not have.
func (r *replay) compare(ctx context.Context, out *exec.Outcome) ([]Compared, error) {
	failed := map[string]error{}
	for _, err := range out.Errors {
		var se *exec.StageError
		if errors.As(err, &se) {
			failed[se.Stage] = se.Err
		}
	}
	var list []Compared
	var devs []lock.Deviation
	for _, n := range r.graph.Nodes {
		state := out.States[n.Name]
		if state == exec.Skipped && r.lock.Stages[n.Name] == nil {
			continue
		}
		c := Compared{Stage: n.Name, Verdict: Equal}
		switch {
		case state == exec.Skipped:
			c.Verdict, c.Reason = Deviates, "is skipped, and took part in the run"
		case failed[n.Name] != nil:
			c.Verdict, c.Reason = Missing, failed[n.Name].Error()
		case state == exec.Blocked:
			c.Verdict, c.Reason = Missing, "did not run: a stage before it is missing"
		case state != exec.Done && state != exec.Cached:
			c.Verdict, c.Reason = Missing, "did not run: "+string(state)
		case r.deviates[n.Name]:
			c.Verdict, c.Reason = Deviates, r.why(ctx, n, out)
		case r.hits[n.Name] && r.packed(n.Name):
			c.Verdict = Packed
		}
		if c.Verdict == Deviates {
			devs = append(devs, lock.Deviation{Stage: c.Stage, Reason: c.Reason})
		}
		list = append(list, c)
	}
	for _, name := range slices.Sorted(maps.Keys(r.lock.Stages)) {
		if r.graph.Node(name) == nil {
			devs = append(devs, lock.Deviation{Stage: name, Reason: "is in the lock, and not in the recipe"})
			list = append(list, Compared{name, Deviates, "is in the lock, and not in the recipe"})
		}
	}
	if len(devs) == 0 {
		return list, nil
	}
	return list, &lock.DeviationError{Deviations: devs}
}

// why says what was different from the run before the result was, if anything
// was, and else which outputs are.
func (r *replay) why(ctx context.Context, n *graph.Node, out *exec.Outcome) string {
	err := r.lock.CheckStage(ctx, n, out.Preimages[n.Name], out.Outputs[n.Name])
	var dev *lock.DeviationError
	if !errors.As(err, &dev) {
		return fmt.Sprintf("its outputs differ (%v)", err)
	}
	var texts []string
	for _, d := range dev.Deviations {
		texts = append(texts, d.Reason)
	}
	return strings.Join(texts, "; ")
}

func (r *replay) packed(name string) bool {
	i := slices.IndexFunc(r.m.Stages, func(s Stage) bool { return s.Name == name })
	return i >= 0 && r.m.Stages[i].Packed
}

// otherErrors are those of stages that failed by themselves.
func (r *replay) otherErrors(out *exec.Outcome, ctx context.Context) error {
	errs := []error{ctx.Err()}
	for _, err := range out.Errors {
		var in *inputError
		if !errors.As(err, &in) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
