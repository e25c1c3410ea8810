package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/schema"
)

// A page lists so many records, and the first one searches for them so long. Then it is
// shown with what was found, and the others go on by themselves.
const perPage = 50

var (
	searchFor = 200 * time.Millisecond
	goOnFor   = time.Second
)

// recordsView is the page of an output's records.
type recordsView struct {
	Title, Run, RunTitle string
	Output               runrecord.Output
	Outputs              []outputChoice // all of the run that hold records
	Query                query
	Base                 string // address without a query
	Filtered             bool
	Error                string // what is wrong with the filter, or where it failed
	List                 []item
	Next                 string // address of the next page; "" on the last
	Searched             int    // percent of the output, where the search has to go on at Next; 0 where it need not
	First                string // address of the first page; "" there
	Styles, Verdicts     []facet
	Providers            []facet
	Counted              bool // the facets are complete
	Paths                bool // the records are paths
	Record               *recordView
	Count                string // address of the count
	Marks                []string
}

type outputChoice struct {
	Label, Link string
	Rows        int64
	Here        bool
}

// item is a record in the list.
type item struct {
	record
	Link string
	Here bool
	Mark string
}

// recordView is one record to read.
type recordView struct {
	record
	Routing string // address of the tables, which take a pass over the routers' logs; "" without any
	Note    *noteView
	Notice  string
}

// recordsPage lists the records that a query finds, from a place on, and shows one.
func (s *Server) recordsPage(w http.ResponseWriter, r *http.Request) error {
	run, out, err := s.output(r, false)
	if err != nil {
		return err
	}
	at, err := parsePlace(r.FormValue("at"))
	if err != nil {
		return err
	}
	if r.FormValue("fragment") != "" {
		sel, err := parsePlace(r.FormValue("sel"))
		if err != nil {
			return err
		}
		rec, err := recordAt(r.Context(), run, out, sel)
		if err != nil {
			return err
		}
		return s.show(w, "record", s.recordView(r, run, out, rec))
	}
	q := parseQuery(r.URL.Query())
	v := recordsView{Title: out.Label(), Run: run.ID, RunTitle: run.Resolved.Name, Output: out, Query: q, Base: outputLink(run.ID, out), Filtered: q != query{}, Marks: markNames}
	v.Paths = out.Record == schema.Problem{}.RecordType() || out.Record == schema.Prediction{}.RecordType()
	v.Count = strings.Replace(v.link(nil, ""), "/records/", "/count/", 1)
	for _, st := range run.Stages {
		for _, o := range st.Outputs {
			if o.Record != "" {
				v.Outputs = append(v.Outputs, outputChoice{o.Label(), outputLink(run.ID, o), o.Rows, o.Label() == out.Label()})
			}
		}
	}
	if v.Paths {
		f := s.facetsOf(run, out)
		v.Styles, v.Verdicts, v.Providers, v.Counted = f.list("style", q.Style), f.list("verdict", q.Verdict), f.list("provider", q.Provider), f.done()
	}
	if (at != place{}) {
		v.First = v.link(nil, "")
	}
	sel := r.FormValue("sel")
	err = s.list(r, run, out, &v, at, sel)
	if err != nil {
		v.Error = err.Error()
	}
	return s.show(w, "records", v)
}

// list fills in the records from a place on, and the one to read: sel, or the first.
func (s *Server) list(r *http.Request, run *runrecord.Run, out runrecord.Output, v *recordsView, at place, sel string) error {
	noted, damaged := s.noted()
	f, err := newFinder(run, out, v.Query, noted)
	if err != nil {
		return err
	}
	f.until = time.Now().Add(searchFor)
	if (at != place{}) {
		f.until = time.Now().Add(goOnFor)
	}
	err = f.each(r.Context(), at, func(rec record) bool {
		if len(v.List) == perPage {
			v.Next = v.link(&rec.At, "")
			return false
		}
		i := item{record: rec, Here: rec.At.String() == sel || sel == "" && len(v.List) == 0, Mark: noted(rec).Mark}
		if at == (place{}) {
			i.Link = v.link(nil, rec.At.String())
		} else {
			i.Link = v.link(&at, rec.At.String())
		}
		if i.Here {
			v.Record = s.recordView(r, run, out, rec)
		}
		v.List = append(v.List, i)
		return true
	})
	var over stopped
	if errors.As(err, &over) {
		v.Next = v.link(&over.at, "")
		v.Searched = int(max(1, 100*over.at.offset/max(1, out.Bytes)))
		err = nil
	}
	if err != nil || sel == "" || v.Record != nil {
		return errors.Join(err, damaged)
	}
	p, err := parsePlace(sel)
	if err != nil {
		return err
	}
	rec, err := recordAt(r.Context(), run, out, p)
	if err == nil {
		v.Record = s.recordView(r, run, out, rec)
	}
	return errors.Join(err, damaged)
}

// link is the address of a page of the same query.
func (v recordsView) link(at *place, sel string) string {
	q := v.Query.Values()
	if at != nil {
		q.Set("at", at.String())
	}
	if sel != "" {
		q.Set("sel", sel)
	}
	if len(q) == 0 {
		return v.Base
	}
	return v.Base + "?" + q.Encode()
}

// countRecords counts what a query finds in the whole output.
func (s *Server) countRecords(w http.ResponseWriter, r *http.Request) error {
	run, out, err := s.output(r, false)
	if err != nil {
		return err
	}
	n := 0
	noted, _ := s.noted() // the page told what is damaged
	f, err := newFinder(run, out, parseQuery(r.URL.Query()), noted)
	if err == nil {
		err = f.each(r.Context(), place{}, func(record) bool { n++; return true })
	}
	answer := map[string]any{"count": n}
	if err != nil {
		answer["error"] = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

func (s *Server) recordView(r *http.Request, run *runrecord.Run, out runrecord.Output, rec record) *recordView {
	v := &recordView{record: rec}
	query := parseQuery(r.Form).Values()
	if at := r.FormValue("at"); at != "" && r.Method == http.MethodGet {
		query.Set("at", at)
	}
	noted, _ := s.noted()
	v.Note = s.noteView(run.ID, out, rec, query, noted(rec))
	if out.Record == (schema.Problem{}).RecordType() && routers(run) {
		v.Routing = strings.Replace(outputLink(run.ID, out), "/records/", "/routing/", 1) + "?sel=" + rec.At.String()
	}
	return v
}
