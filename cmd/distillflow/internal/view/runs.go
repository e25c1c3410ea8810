package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Runs lists runs, one a line.
func Runs(w io.Writer, list []runrecord.Entry) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, e := range list {
		var counts, figures []string
		for _, st := range slices.Sorted(maps.Keys(e.Stages)) {
			counts = append(counts, fmt.Sprintf("%d %s", e.Stages[st], st))
		}
		for _, name := range slices.Sorted(maps.Keys(e.Figures)) {
			if strings.Contains(name, " ") {
				continue // untrained students, bounds: --format json has them
			}
			figures = append(figures, text.OneLine(name)+" "+percent(e.Figures[name]))
		}
		cost := "-"
		if e.USD > 0 {
			cost = dollars(e.USD)
		} else if e.Calls > 0 {
			cost = number(e.Calls) + " calls"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, orDash(text.OneLine(e.Status)), duration(time.Duration(e.Seconds*float64(time.Second))),
			orDash(strings.Join(counts, ", ")), cost, orDash(strings.Join(figures, ", ")), text.OneLine(e.Recipe))
	}
	return tw.Flush()
}
