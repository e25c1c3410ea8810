package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/compare"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
)

// Bounds of a comparison on a page.
const (
	maxCompared = 10 // runs
	maxFlips    = 50 // verdicts a test and direction
)

// compareView is the page of runs side by side.
type compareView struct {
	Title  string
	Runs   []compare.Head
	Tables []pages.Table
	Gone   string
}

// comparePage sets the runs named in the address side by side, the others beside the first.
func (s *Server) comparePage(w http.ResponseWriter, r *http.Request) error {
	names := r.URL.Query()["run"]
	if len(names) < 2 || len(names) > maxCompared {
		return badRequest{fmt.Errorf("choose from 2 to %d runs to compare, not %d", maxCompared, len(names))}
	}
	var runs []*runrecord.Run
	for _, name := range names {
		info, err := runrecord.Find(s.Store, name)
		if err != nil {
			return notFound{err.Error()}
		}
		run, err := runrecord.Open(s.Store, s.Registry, info.ID)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	c, err := compare.Runs(runs, maxFlips)
	if err != nil {
		return errors.Join(errors.New("the runs cannot be compared"), err)
	}
	return s.show(w, "compare", compareView{Title: "Comparison", Runs: c.Runs, Tables: c.Tables(), Gone: strings.Join(c.Gone, ", ")})
}
