package web

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// facets counts what an output's paths can be filtered by. It is filled once, in the
// background, by one pass over the output.
type facets struct {
	mu       sync.Mutex
	counts   map[string]map[string]int // style, verdict or provider -> value -> paths
	finished chan struct{}
}

// facet is a value with the number of its paths.
type facet struct {
	Value string
	Count int
}

// Facets are bounded: providers and styles are few, and what has more is no choice.
const (
	maxFacets    = 200
	maxFacetText = 1000                   // bytes of a value
	facetsWait   = 100 * time.Millisecond // a page waits so long for all of them
	facetsBatch  = 256
)

// facetsOf gives the facets of an output, all of them if it is small.
func (s *Server) facetsOf(run *runrecord.Run, out runrecord.Output) *facets {
	key := string(out.Digest)
	s.mu.Lock()
	f, ok := s.facets.get(key)
	if !ok {
		f = &facets{counts: map[string]map[string]int{"style": {}, "verdict": {}, "provider": {}}, finished: make(chan struct{})}
		s.facets.put(key, f)
	}
	s.mu.Unlock()
	if !ok {
		id := run.ID
		parallel.Start(func() error {
			defer close(f.finished)
			own, err := runrecord.Open(s.Store, s.Registry, id) // a run is for one goroutine
			if err != nil {
				return err
			}
			return f.fill(own, out)
		})
	}
	select {
	case <-f.finished:
	case <-time.After(facetsWait):
	}
	return f
}

// fill counts. What a damaged row hides is told by the page that shows it.
func (f *facets) fill(run *runrecord.Run, out runrecord.Output) error {
	n := 0
	f.mu.Lock()
	defer f.mu.Unlock()
	find := finder{run: run, out: out}
	return find.each(context.Background(), place{}, func(r record) bool {
		if !r.Paths() {
			return false
		}
		p := &r.problem.Paths[r.path]
		f.add("style", p.Style)
		f.add("provider", p.Provider)
		f.add("verdict", string(r.verdict()))
		if n++; n%facetsBatch == 0 { // let a page look
			f.mu.Unlock()
			f.mu.Lock()
		}
		return true
	})
}

func (f *facets) add(name, value string) {
	if m := f.counts[name]; value != "" && len(value) <= maxFacetText && (m[value] > 0 || len(m) < maxFacets) {
		m[value]++
	}
}

// list gives the values of a facet with chosen among them, the most frequent first.
func (f *facets) list(name, chosen string) []facet {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := maps.Clone(f.counts[name])
	if chosen != "" && m[chosen] == 0 {
		m[chosen] = 0
	}
	var list []facet
	for value, n := range m {
		list = append(list, facet{value, n})
	}
	slices.SortFunc(list, func(a, b facet) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value)) })
	return list
}

// done reports whether all is counted.
func (f *facets) done() bool {
	select {
	case <-f.finished:
		return true
	default:
		return false
	}
}
