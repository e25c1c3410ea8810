package recipetest

import (
	"fmt"
	"io"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
)

// results prints the results of cases, as they come or as one JSON document.
type results struct {
	w      io.Writer
	json   bool
	out    resultsJSON
	failed int
}

// resultsJSON is `test --json`. Fields are only ever added.
type resultsJSON struct {
	Passed int        `json:"passed"`
	Failed int        `json:"failed"`
	Cases  []caseJSON `json:"cases"`
}

type caseJSON struct {
	Recipe   string        `json:"recipe"`
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Name     string        `json:"name"`
	Passed   bool          `json:"passed"`
	Seconds  float64       `json:"seconds"`
	Failures []failureJSON `json:"failures"`
	Errors   []string      `json:"errors"`   // stages that failed
	Recorded int           `json:"recorded"` // answers that --record added
}

type failureJSON struct {
	File   string    `json:"file"`
	Line   int       `json:"line"`
	Column int       `json:"column"`
	Port   string    `json:"port"`
	Want   string    `json:"want"`
	Got    string    `json:"got"`
	Rows   []rowJSON `json:"rows"` // examples
	Note   string    `json:"note,omitempty"`
}

type rowJSON struct {
	Number int    `json:"number"` // 1-based
	Text   string `json:"text"`   // cut if it is long
}

func (v *results) show(s *Suite, c *boundCase, r *caseResult) error {
	if !r.passed() {
		v.failed++
	}
	if v.json {
		v.out.Cases = append(v.out.Cases, resultJSON(s, c, r))
		return nil
	}
	var b strings.Builder
	word := "ok  "
	if !r.passed() {
		word = "FAIL"
	}
	fmt.Fprintf(&b, "%s  %s: %s  (%.2f s)\n", word, paths.Relative(s.recipe), c.Name, r.seconds)
	for _, f := range r.failures {
		fmt.Fprintf(&b, "      %s: %s: want %s, got %s\n", f.Check.Pos, f.Label, f.Check, f.Got)
		for _, row := range f.Rows {
			fmt.Fprintf(&b, "        row %d: %s\n", row.Number, row.Text)
		}
		if f.Note != "" {
			fmt.Fprintf(&b, "        %s\n", f.Note)
		}
	}
	for _, err := range r.errs {
		fmt.Fprintf(&b, "      %s: %s\n", c.Pos, strings.ReplaceAll(err.Error(), "\n", "\n        "))
	}
	for _, at := range r.unused {
		fmt.Fprintf(&b, "      %s: note: no request took this answer\n", at)
	}
	if r.recorded > 0 {
		fmt.Fprintf(&b, "      recorded %s in %s\n", text.Plural(r.recorded, "answer"), paths.Relative(r.into))
	}
	v.out.Cases = append(v.out.Cases, caseJSON{})
	_, err := io.WriteString(v.w, b.String())
	return err
}

func resultJSON(s *Suite, c *boundCase, r *caseResult) caseJSON {
	j := caseJSON{Recipe: s.recipe, File: s.file.Path, Line: c.Pos.Line, Name: c.Name, Passed: r.passed(),
		Seconds: r.seconds, Failures: []failureJSON{}, Errors: []string{}, Recorded: r.recorded}
	for _, f := range r.failures {
		at := f.Check.Pos
		fj := failureJSON{File: at.File, Line: at.Line, Column: at.Col, Port: f.Label, Want: f.Check.String(), Got: f.Got, Rows: []rowJSON{}, Note: f.Note}
		for _, row := range f.Rows {
			fj.Rows = append(fj.Rows, rowJSON(row))
		}
		j.Failures = append(j.Failures, fj)
	}
	for _, err := range r.errs {
		j.Errors = append(j.Errors, err.Error())
	}
	return j
}

// close prints the summary.
func (v *results) close() error {
	total := len(v.out.Cases)
	if v.json {
		v.out.Failed, v.out.Passed = v.failed, total-v.failed
		if v.out.Cases == nil {
			v.out.Cases = []caseJSON{}
		}
		return view.Indented(v.w, v.out)
	}
	_, err := fmt.Fprintf(v.w, "\n%s: %d ok, %d failed\n", text.Plural(total, "case"), total-v.failed, v.failed)
	return err
}
