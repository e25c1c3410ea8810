package exec

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
)

func TestQueue(t *testing.T) {
	cpus, memory, gpus := 1.0, int64(100), int64(2)
	odd := 2.01 // times 1000 it is a little less than 2010
	limits := Limits{CPUs: &cpus, Memory: &memory, GPUs: &gpus}
	type res = recipe.Resources
	for name, c := range map[string]struct {
		limits Limits
		want   []res
		first  string // the nodes that start at once, by their place
		second string // those that start when the first of them has ended
	}{
		"halves of a CPU":            {limits, []res{{CPUs: 0.5}, {CPUs: 0.5}, {CPUs: 0.5}}, "01", "2"},
		"tenths add up":              {limits, []res{{CPUs: 0.7}, {CPUs: 0.1}, {CPUs: 0.1}, {CPUs: 0.1}, {CPUs: 0.1}}, "0123", "4"},
		"no fraction is lost":        {Limits{CPUs: &odd}, []res{{CPUs: 1.25}, {CPUs: 0.76}}, "01", ""},
		"a small one overtakes":      {limits, []res{{CPUs: 0.75}, {CPUs: 0.5}, {CPUs: 0.25}}, "02", "1"},
		"memory":                     {limits, []res{{Memory: 60}, {Memory: 60}, {Memory: 40}}, "02", "1"},
		"gpus":                       {limits, []res{{GPUs: 1}, {GPUs: 2}, {GPUs: 1}}, "02", ""},
		"nothing declared":           {limits, []res{{CPUs: 1}, {}, {}}, "012", ""},
		"more than there is":         {limits, []res{{CPUs: 3}, {CPUs: 0.001}, {}}, "02", "1"},
		"no limits":                  {Limits{}, []res{{CPUs: 300, GPUs: 8}, {CPUs: 300, Memory: 1 << 60}}, "01", ""},
		"in the order of their turn": {limits, []res{{CPUs: 1}, {CPUs: 1}, {CPUs: 1}}, "0", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(c.limits)
			var nodes []*graph.Node
			for i, r := range c.want {
				n := &graph.Node{Name: string(rune('0' + i)), Stage: &recipe.Stage{Resources: r}}
				nodes = append(nodes, n)
				q.push(work{node: n})
			}
			drain := func() string {
				var names []string
				for {
					w, ok := q.next()
					if !ok {
						return strings.Join(names, "")
					}
					names = append(names, w.node.Name)
				}
			}
			if got := drain(); got != c.first {
				t.Fatalf("%q start, want %q", got, c.first)
			}
			q.release(nodes[0])
			if got := drain(); got != c.second {
				t.Errorf("then %q start, want %q", got, c.second)
			}
		})
	}
}

func TestLimitsCheck(t *testing.T) {
	cpus, gpus := 1.5, int64(0)
	l := Limits{CPUs: &cpus, GPUs: &gpus}
	if err := l.Check(&graph.Node{Stage: &recipe.Stage{Resources: recipe.Resources{CPUs: 1.5, Memory: 1 << 50}}}); err != nil {
		t.Error(err)
	}
	err := l.Check(&graph.Node{Stage: &recipe.Stage{Resources: recipe.Resources{CPUs: 1.6, GPUs: 1}}})
	if err == nil || !strings.Contains(err.Error(), "1.6 cpus, and there are 1.5") || !strings.Contains(err.Error(), "1 gpus, and there are 0") {
		t.Errorf("error %v", err)
	}
}

func TestWithdrawnWorkGetsNoTurn(t *testing.T) {
	q := newQueue(Limits{})
	a, b := &graph.Node{Stage: &recipe.Stage{}}, &graph.Node{Stage: &recipe.Stage{}}
	for _, n := range []*graph.Node{a, b, a} {
		q.push(work{node: n})
	}
	q.withdraw(a)
	if w, ok := q.next(); !ok || w.node != b {
		t.Error("the other work went, too")
	}
	if _, ok := q.next(); ok {
		t.Error("it got a turn")
	}
}
