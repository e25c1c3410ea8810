// Package grid lays out tables of words and figures for a terminal and as Markdown.
package grid

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Writer holds a table whose cells are what show makes of them. The first left columns and
// the last notes columns hold words, which stand left; the others hold figures.
func Writer(head []string, rows [][]string, left, notes int, show func(string) string) table.Writer {
	w := table.NewWriter()
	row := func(cells []string) table.Row {
		r := make(table.Row, len(cells))
		for i, c := range cells {
			r[i] = show(c)
		}
		return r
	}
	w.AppendHeader(row(head))
	for _, r := range rows {
		w.AppendRow(row(r))
	}
	var cols []table.ColumnConfig
	for i := range head {
		a := text.AlignRight
		if i < left || i >= len(head)-notes {
			a = text.AlignLeft
		}
		cols = append(cols, table.ColumnConfig{Number: i + 1, Align: a, AlignHeader: a})
	}
	w.SetColumnConfigs(cols)
	return w
}

// Terminal is plain ASCII with a rule below the header.
func Terminal(w table.Writer) string {
	s := table.StyleDefault
	s.Format.Header = text.FormatDefault
	s.Options = table.Options{SeparateHeader: true}
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	s.Box.MiddleHorizontal = "-"
	w.SetStyle(s)
	w.SuppressTrailingSpaces()
	return w.Render()
}
