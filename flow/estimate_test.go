package flow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
)

// Estimate implements [stage.Estimator] for the toys that go word by word.
func (c mapConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	if c.Panic {
		return stage.Estimate{}, errors.New("toy estimate failure")
	}
	rows := q.Rows("words")
	e := stage.Estimate{Rows: map[string]*stage.Range{"words": rows}, Requests: rows.Times(0, 2)}
	if in := q.Inputs["words"]; len(in) == 1 && in[0].Path != "" {
		e.MemoHits = stage.Exactly(1) // stands for a look at the rows
	}
	return e, nil
}

// figures is what a plan tells of a stage.
type figures struct {
	Status               plan.Status
	Rows, Requests, Memo *stage.Range
}

func figuresOf(p *plan.Plan) map[string]figures {
	m := map[string]figures{}
	for _, s := range p.Steps {
		m[s.Node.Name] = figures{s.Status, s.Rows(), s.Estimate.Requests, s.Estimate.MemoHits}
	}
	return m
}

func TestEstimates(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, with: {suffix: "!"}}
  c: {uses: partial, from: b}
  d: {uses: map, from: c}
  e: {uses: map, from: c, with: {panic: true}}
  f: {uses: map, from: a, with: {suffix: "?"}}
  g: {uses: map, from: a, when: "false"}
`)
	three, zero, upTo6 := stage.Exactly(3), stage.Exactly(0), &stage.Range{Max: 6}
	p, err := b.eng.Plan(context.Background(), b.graph(), flow.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]figures{
		"a": {plan.Run, nil, zero, zero}, // no estimator: but it is pure
		"b": {plan.Wait, nil, zero, zero},
		"c": {plan.Wait, nil, nil, nil},
		"d": {plan.Wait, nil, zero, zero},
		"e": {plan.Wait, nil, zero, zero},
		"f": {plan.Wait, nil, zero, zero},
		"g": {plan.Skip, nil, nil, nil},
	}
	if d := cmp.Diff(want, figuresOf(p)); d != "" {
		t.Errorf("a fresh plan: %s", d)
	}
	if p.Steps[b.graph().Node("e").Index()].EstimateError == nil {
		t.Error("a failed estimate is not told")
	}
	free := map[string]bool{}
	for n := range p.Free() {
		free[n.Name] = true
	}
	if d := cmp.Diff(map[string]bool{"a": true, "b": true}, free); d != "" { // f is before nothing
		t.Errorf("free: %s", d)
	}

	p, err = b.eng.Estimate(context.Background(), b.graph(), flow.RunOptions{Force: map[string]bool{"a": true, "c": true}})
	if err != nil {
		t.Fatal(err)
	}
	want["a"] = figures{plan.Hit, three, zero, zero}
	want["b"] = figures{plan.Hit, three, zero, zero}
	want["c"] = figures{plan.Run, three, upTo6, stage.Exactly(1)} // it saw the rows
	want["d"] = figures{plan.Wait, three, zero, zero}
	want["f"] = figures{plan.Run, three, zero, zero}
	if d := cmp.Diff(want, figuresOf(p)); d != "" {
		t.Errorf("after --estimate: %s", d)
	}
	if len(p.Free()) != 0 {
		t.Errorf("still free: %v", p.Free())
	}
}

func TestEstimateOfAFailingStage(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, with: {fail: true}}
  c: {uses: draw, from: b}
`)
	if _, err := b.eng.Estimate(context.Background(), b.graph(), flow.RunOptions{}); err == nil {
		t.Error("the failure is lost")
	}
}

func TestRanges(t *testing.T) {
	var unknown *stage.Range
	if unknown.Times(1, 2) != nil || unknown.Plus(stage.Exactly(1)) != nil || stage.Exactly(1).Plus(nil) != nil {
		t.Error("what is unknown became known")
	}
	if got := stage.Exactly(3).Plus(&stage.Range{Min: 1, Max: 2}).Times(0.5, 2); *got != (stage.Range{Min: 2, Max: 10}) {
		t.Errorf("got %v", *got)
	}
}
