package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/audit"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/notes"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

type auditFlags struct {
	n                     int
	seed                  uint64
	sheet, labels, format string
}

func (a app) auditCmd() *cobra.Command {
	var f storeFlags
	var o auditFlags
	c := &cobra.Command{
		Use:   "audit RUN [STAGE[.PORT]]",
		Short: "Estimate how often the pipeline accepts a wrong path",
		Long: `audit draws a random sample of the paths that a run accepted, stratified by the stage that
accepted them and by style, for a person to label; from the labels it estimates the rate of
false accepts with a 95 % interval. The paths are those of the last verifier or judge on each
way through the recipe, or of STAGE. ` + runDoc + `

--sheet writes the sample as CSV or JSON lines. Put right, wrong or interesting into the
column mark, and give the sheet back by --labels: the marks become notes in
distillflow.notes.jsonl beside the store, as those made in a browser do. One seed gives one
sample. Labels on other paths are not counted: a person who looks for faults finds more of
them than chance does.`,
		Example: `  distillflow audit last --sheet audit.csv
  distillflow audit last --labels audit.csv`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, pos []string) error {
			if o.n < 1 {
				return usageError{fmt.Errorf("--n %d: want a number of paths", o.n)}
			}
			if o.format != "text" && o.format != "json" {
				return usageError{fmt.Errorf("--format %s: want text or json", o.format)}
			}
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			return errors.Join(a.audit(st.Dir(), r, optional(pos, 1), o), st.Close())
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	c.Flags().IntVar(&o.n, "n", 100, "how many `paths` to draw; at least two of each style and stage are")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "another `number` draws another sample")
	c.Flags().StringVar(&o.sheet, "sheet", "", "write the sample to label to this `file`, .csv or .jsonl")
	c.Flags().StringVar(&o.labels, "labels", "", "take the labels of this `file`, a sheet, into the notes")
	c.Flags().StringVar(&o.format, "format", "text", "text or json")
	return c
}

func (a app) audit(storeDir string, r *runrecord.Run, stage string, o auditFlags) error {
	outputs, err := accepting(r, stage)
	if err != nil {
		return err
	}
	s, err := audit.Draw(r, outputs, o.n, o.seed)
	if err != nil {
		return err
	}
	labels, err := notes.Read(storeDir)
	if err != nil {
		return err
	}
	if o.labels != "" {
		if err := a.takeLabels(storeDir, r, o.labels, labels); err != nil {
			return err
		}
	}
	if o.sheet != "" {
		if err := writeSheet(s, o.sheet, labels); err != nil {
			return err
		}
		fmt.Fprintf(a.notes(), "wrote %s to %s; put right or wrong into mark, then give it to --labels\n", text.Plural(len(s.Items()), "path"), o.sheet)
	}
	e := s.Estimate(labels)
	if o.format == "json" {
		return view.Indented(a.out, e)
	}
	return e.Text(a.out)
}

func accepting(r *runrecord.Run, name string) ([]runrecord.Output, error) {
	if name == "" {
		list := audit.Accepting(r)
		if len(list) == 0 {
			return nil, usageError{fmt.Errorf("run %s has made no verified or judged paths; name the output to audit, as 'distillflow outputs %s' lists them", r.ID, r.ID)}
		}
		return list, nil
	}
	if s := r.Stage(name); s != nil {
		if o, ok := audit.AcceptedBy(s); ok {
			return []runrecord.Output{o}, nil
		}
	}
	o, err := outputOf(r, name)
	if err != nil {
		return nil, err
	}
	if o.Record != (schema.Problem{}).RecordType() {
		return nil, usageError{fmt.Errorf("%s holds no reasoning paths", o.Label())}
	}
	return []runrecord.Output{o}, nil
}

// takeLabels adds the labels of a sheet that are new to the notes.
func (a app) takeLabels(storeDir string, r *runrecord.Run, sheet string, labels map[schema.NoteKey]schema.Note) error {
	list, err := audit.ReadSheet(sheet)
	if err != nil {
		return usageError{err}
	}
	unknown, err := audit.Unknown(r, list)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return usageError{fmt.Errorf("--labels %s: run %s has no row %q; no label was taken: give the sheet of this run, or put its ids right", sheet, r.ID, unknown[:min(3, len(unknown))])}
	}
	var fresh []schema.Note
	for _, n := range list {
		if old, ok := labels[n.Key()]; !ok || old.Mark != n.Mark || old.Comment != n.Comment {
			fresh = append(fresh, n)
			labels[n.Key()] = n
		}
	}
	if err := notes.Append(storeDir, fresh...); err != nil {
		return err
	}
	fmt.Fprintf(a.notes(), "took %s of %s into %s\n", text.Plural(len(fresh), "new label"), sheet, notes.Path(storeDir))
	return nil
}

func writeSheet(s *audit.Sample, path string, labels map[schema.NoteKey]schema.Note) (err error) {
	write := s.WriteCSV
	switch {
	case strings.HasSuffix(path, ".jsonl"):
		write = s.WriteJSON
	case !strings.HasSuffix(path, ".csv"):
		return usageError{fmt.Errorf("--sheet %s: want a name that ends in .csv or .jsonl", path)}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return usageError{fmt.Errorf("--sheet %s: the file is there, and may hold labels: take them by --labels, or give another name", path)}
	}
	if err != nil {
		return err
	}
	return errors.Join(write(f, labels), f.Close())
}
