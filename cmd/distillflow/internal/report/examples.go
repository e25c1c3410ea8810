package report

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/schema"
)

// Bounds of the examples.
const (
	examplesEach = 10
	exampleText  = 6000 // bytes of a text before it is cut
)

// Group is examples of one verdict.
type Group struct {
	Verdict pages.Verdict
	About   string
	Total   int64 // paths of the verdict in the run
	List    []pages.Path

	at []int64 // Total when each of the list came, for the order
}

// source is an output that examples are taken from, of these verdicts.
type source struct {
	output   runrecord.Output
	verdicts []pages.Verdict
}

// sources are the outputs of verifiers, where no path is left out, and what judges turned
// down. In a run without a verifier the extractors tell what could not be read.
func sources(r *runrecord.Run) (list []source) {
	graded := slices.ContainsFunc(r.Stages, isVerifier)
	for _, s := range r.Stages {
		for _, o := range s.Outputs {
			switch {
			case o.Record != problemRecord:
			case o.Port == "all" && isVerifier(s):
				list = append(list, source{o, []pages.Verdict{pages.Right, pages.Wrong, pages.Unparsed}})
			case o.Port == "invalid":
				list = append(list, source{o, []pages.Verdict{pages.Invalid}})
			case s.Type == "extract" && !graded:
				list = append(list, source{o, []pages.Verdict{pages.Unparsed}})
			}
		}
	}
	return list
}

// examples takes paths of every verdict, all with the same chance.
func examples(r *runrecord.Run, f *facts) ([]Group, error) {
	list := sources(r)
	var from []string
	for _, s := range list {
		from = append(from, string(s.output.Digest), fmt.Sprint(s.verdicts))
	}
	return fact(f, "examples", from, func() ([]Group, error) { return drawExamples(r, list) })
}

func drawExamples(r *runrecord.Run, list []source) ([]Group, error) {
	groups := []Group{
		{Verdict: pages.Right, About: "The prediction equals the gold answer."},
		{Verdict: pages.Wrong, About: "There is a prediction, and it differs from the gold answer."},
		{Verdict: pages.Unparsed, About: "There is a response, and no prediction was found in it."},
		{Verdict: pages.Invalid, About: "A judge read the reasoning and turned it down."},
	}
	random := newRandom()
	take := func(s source) error {
		for p, err := range runrecord.Stream[schema.Problem](r, s.output) {
			if err != nil {
				return err
			}
			for i := range p.Paths {
				v := pages.VerdictOf(&p.Paths[i])
				g := slices.IndexFunc(groups, func(g Group) bool { return g.Verdict == v })
				if g >= 0 && slices.Contains(s.verdicts, v) {
					groups[g].offer(random, func() pages.Path { return pages.NewPath(&p, i, exampleText) })
				}
			}
		}
		return nil
	}
	var errs []error
	for _, s := range list {
		errs = append(errs, take(s))
	}
	for i := range groups {
		groups[i].sort()
	}
	return slices.DeleteFunc(groups, func(g Group) bool { return g.Total == 0 }), errors.Join(errs...)
}

func isVerifier(s *runrecord.Stage) bool {
	_, all := s.Output("all")
	_, correct := s.Output("correct")
	return all && correct
}

// offer keeps each path that came with the same chance (Vitter's algorithm R, 1985).
func (g *Group) offer(random *rand.Rand, path func() pages.Path) {
	g.Total++
	if len(g.List) < examplesEach {
		g.List, g.at = append(g.List, path()), append(g.at, g.Total)
		return
	}
	if i := random.Int64N(g.Total); i < examplesEach {
		g.List[i], g.at[i] = path(), g.Total
	}
}

// sort puts the examples in the order in which they came.
func (g *Group) sort() {
	order := make([]int, len(g.List))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(g.at[a] - g.at[b]) })
	list := make([]pages.Path, len(order))
	for i, j := range order {
		list[i] = g.List[j]
	}
	g.List = list
}

// newRandom gives the same examples for the same outputs.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
