package planview

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/flow/plan"
)

func writeText(w io.Writer, p *plan.Plan) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	for _, s := range p.Steps {
		from := ""
		if l := sources(s); len(l) > 0 {
			from = "<- " + strings.Join(l, ", ")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.Status, s.Node.Name, s.Node.Type.Type, s.Reason, from)
		for _, r := range s.More {
			fmt.Fprintf(tw, "\t\t\t%s\t\n", r)
		}
		if e := EstimateText(s); e != "" {
			fmt.Fprintf(tw, "\t\t\t%s\t\n", e)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", summary(fromPlan(p))); err != nil {
		return err
	}
	if total := Total(p); total != "" {
		if _, err := fmt.Fprintln(w, total); err != nil {
			return err
		}
	}
	return writeHint(w, p)
}

func writeHint(w io.Writer, p *plan.Plan) error {
	hint := Hint(p)
	if hint == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, hint)
	return err
}
