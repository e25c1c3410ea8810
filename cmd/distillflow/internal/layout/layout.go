// Package layout says how save: lays out the rows that it writes.
package layout

import (
	"io"
	"iter"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// Problems is how save: writes problems: parallel lists, one row a line,
// in *.enriched.jsonl with every row and *.correct.jsonl with the correct paths
// only.
var Problems = flow.Layout{
	Version: 1,
	Suffix: func(port string, isDefault bool) string {
		if isDefault {
			return "enriched.jsonl"
		}
		return port + ".jsonl"
	},
	Write: func(w io.Writer, port string, rows io.Reader) error {
		write := schema.WriteEnriched
		if port == "correct" {
			write = schema.WriteCorrect
		}
		_, err := write(w, problems(rows))
		return err
	},
}

// problems decodes the rows of a published output.
func problems(r io.Reader) iter.Seq2[schema.Problem, error] {
	return func(yield func(schema.Problem, error) bool) {
		for line, err := range stage.Lines(r) {
			var p schema.Problem
			if err == nil {
				err = p.UnmarshalJSON(line.Text)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}
