package view

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Outputs lists the outputs of stages: what they are, how large, and where.
func Outputs(w io.Writer, r *runrecord.Run, stages []*runrecord.Stage) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "output\tholds\trows\tsize\tpath")
	for _, s := range stages {
		for _, o := range s.Outputs {
			holds, rows := o.Record, strconv.FormatInt(o.Rows, 10)
			if o.Kind == store.KindDir {
				holds, rows = "folder", "-"
			}
			place := o.Saved
			if place == "" {
				var err error
				place, err = r.Path(o)
				var gone *runrecord.GoneError
				switch {
				case errors.As(err, &gone):
					place = "(no longer in the store)"
				case err != nil:
					place = "(" + text.FirstLine(err.Error()) + ")"
				}
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", text.OneLine(o.Label()), orDash(holds), rows, text.Size(o.Bytes), text.OneLine(paths.Relative(place)))
		}
	}
	return tw.Flush()
}
