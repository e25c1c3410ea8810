// Package pages is what the report of a run and the pages of ui have in common: their
// look, and the fragments that show a table, a graph, facts and one path of a model.
//
//	t := pages.Templates()                      // "table", "graph", "facts", "pathline", "path", "state"
//	template.Must(t.ParseFS(files, "*.tmpl"))   // the page's own
//	pages.CSS                                   // for a <style> or a file
//
// Text of models goes through html/template as text, so that none of it is markup.
package pages

import (
	"embed"
	"html/template"
	"strconv"
)

//go:embed fragments.tmpl
var files embed.FS

//go:embed base.css
var css string

// CSS gives the look of every page.
func CSS() template.CSS { return template.CSS(css) }

// Templates gives a new set with the fragments and the functions count and count64.
func Templates() *template.Template {
	return template.Must(template.New("pages").Funcs(template.FuncMap{"count": Count[int], "count64": Count[int64]}).ParseFS(files, "fragments.tmpl"))
}

// Count prints a whole number in groups of three digits, as in "45,000".
func Count[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Fact is a name with its value.
type Fact struct{ Name, Value string }

// Table is a table of words and figures. The first Words columns and the last Notes
// columns hold words, the others figures.
type Table struct {
	Name         string
	Head         []string
	Rows         [][]string
	Words, Notes int
	States       int      // the column that holds states, drawn as badges; 0 for none
	IDs          []string // of the rows, to link to; nil for none
}

// ID is the id of a row, or "".
func (t Table) ID(row int) string {
	if row < len(t.IDs) {
		return t.IDs[row]
	}
	return ""
}

// Cell is one of a row. A table asks once a row for all: templates call functions slowly.
type Cell struct {
	Class, Text string
	State       bool
}

// Cells are those of a row.
func (t Table) Cells(row []string) []Cell {
	cells := make([]Cell, len(row))
	for i, c := range row {
		cells[i] = Cell{Class: t.Class(i), Text: c, State: i > 0 && i == t.States}
	}
	return cells
}

// Class is the CSS class of a column: figures lie at the right, notes may be long.
func (t Table) Class(column int) string {
	switch {
	case column >= len(t.Head)-t.Notes:
		return "long"
	case column >= t.Words:
		return "num"
	}
	return ""
}
