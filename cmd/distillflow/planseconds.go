package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// slower bounds how much a stage's time differs from what it took the last time for as
// many rows or requests: as much faster, or as much slower.
const slower = 2

// alike is how much the work may differ from the last time's for its time to tell
// anything.
const alike = 10

// pastSeconds estimates the time of stages that did not tell theirs, by what the same
// stage of the recipe took the last time. It reads one record a stage.
func pastSeconds(p *plan.Plan, storeDir string) (err error) {
	if !slices.ContainsFunc(p.Steps, untimed) {
		return nil
	}
	if storeDir == "" {
		storeDir = filepath.Join(p.Graph.Recipe.Dir, defaultStore)
	}
	if _, err := os.Stat(storeDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	st, err := store.Open(storeDir, store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	id, err := filepath.Abs(p.Graph.Recipe.File)
	if err != nil {
		return err
	}
	last, err := st.LastAll(id)
	if err != nil {
		return err
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		ptr, ok := last[s.Node.Name]
		if !ok || !untimed(*s) {
			continue
		}
		a, _, err := st.GetAction(ptr.Key)
		if err != nil {
			return err
		}
		if a != nil && a.Type == s.Node.Type.Type && a.Meta.Seconds > 0 {
			s.Estimate.Seconds = secondsLike(s, a)
		}
	}
	return nil
}

// untimed reports whether a step has yet to run and did not tell its time.
func untimed(s plan.Step) bool {
	return s.Estimate.Seconds == nil && (s.Status == plan.Run || s.Status == plan.Wait)
}

// secondsLike scales the time of an earlier result to the work that is expected now: the
// requests of a stage that asks models, and else its rows. Nil if they cannot be compared.
func secondsLike(s *plan.Step, a *store.Action) *stage.Range {
	def := s.Node.Type.Outputs[0]
	was, now := 1.0, stage.Exactly(1) // a folder: as long as the last time
	switch {
	case s.Node.Type.Class == stage.Sampled:
		was, now = a.Meta.Stats["requests"]-a.Meta.Stats["memo_hits"], s.Estimate.Requests
	case def.Kind == stage.RowsPort:
		was, now = float64(a.Outputs[def.Name].Rows), s.Rows()
	}
	if now == nil || was <= 0 || now.Max > alike*was || now.Min*alike < was {
		return nil
	}
	return now.Times(a.Meta.Seconds/was/slower, a.Meta.Seconds/was*slower)
}
