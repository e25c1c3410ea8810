package web

import (
	"cmp"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
)

// How often pages that go on look at the store.
const (
	runsEvery = 2 * time.Second
	runEvery  = 500 * time.Millisecond
)

// runList is the page of all runs, the newest first.
type runList struct {
	Title   string
	Recipe  string
	Store   string
	Runs    []runrecord.Entry
	Figures []string // names, for columns
	Damaged []string // runs whose records cannot be read, and why
}

// maxFigures is how many columns of accuracies a page has room for.
const maxFigures = 5

func (s *Server) runList() (runList, error) {
	l := runList{Title: "Runs", Recipe: s.Recipe, Store: s.Store.Dir()}
	infos, err := s.Store.Runs()
	if err != nil {
		return l, err
	}
	seen := map[string]int{}
	for _, info := range slices.Backward(infos) {
		e, err := s.entry(info.ID)
		if err != nil {
			l.Damaged = append(l.Damaged, err.Error())
			continue
		}
		l.Runs = append(l.Runs, e)
		for name := range e.Figures {
			if !strings.Contains(name, " ") { // such as "llama untrained"; the page of the run has all
				seen[name]++
			}
		}
	}
	l.Figures = slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		return cmp.Or(cmp.Compare(seen[b], seen[a]), cmp.Compare(a, b))
	})
	l.Figures = l.Figures[:min(len(l.Figures), maxFigures)]
	return l, nil
}

// entry sums a run up. Those that have ended change no more.
func (s *Server) entry(id string) (runrecord.Entry, error) {
	s.mu.Lock()
	e, ok := s.entries[id]
	s.mu.Unlock()
	if ok {
		return e, nil
	}
	run, err := runrecord.Open(s.Store, s.Registry, id)
	if err != nil {
		return e, err
	}
	e, err = run.Entry()
	if err != nil && !errors.As(err, new(*runrecord.GoneError)) {
		return e, err
	}
	if !run.Live() {
		s.mu.Lock()
		s.entries[id] = e
		s.mu.Unlock()
	}
	return e, nil
}

func (s *Server) runsPage(w http.ResponseWriter, _ *http.Request) error {
	l, err := s.runList()
	if err != nil {
		return err
	}
	return s.show(w, "runs", l)
}

func (s *Server) runsLive(w http.ResponseWriter, r *http.Request) error {
	return s.live(w, r, runsEvery, func() (template.HTML, bool, error) {
		l, err := s.runList()
		if err != nil {
			return "", false, err
		}
		html, err := s.render("runtable", l)
		return html, false, err
	})
}
