package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/stages/data"
)

func (a app) catCmd() *cobra.Command {
	var f storeFlags
	var where string
	var head int
	c := &cobra.Command{
		Use:   "cat RUN STAGE[.PORT]",
		Short: "Print the rows that a stage of a run made",
		Long: `cat prints the rows of an output as JSON lines, those of the stage's first output if
no port is named. ` + runDoc + `

--where sees what the field where of a filter sees ('distillflow stages filter'); of
records that are not problems, their fields. Characters that a terminal would act on are
printed as JSON escapes, which mean the same.`,
		Example: `  distillflow cat last graded --where 'any(paths, not .correct)' --head 3
  distillflow cat recipes/gsm8k.yaml students.router_log | jq .probs`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, pos []string) error {
			if head < 0 {
				return usageError{fmt.Errorf("--head %d: want a number of rows", head)}
			}
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			return errors.Join(a.cat(r, pos[1], where, head), st.Close())
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	c.Flags().StringVar(&where, "where", "", "print the rows for which this `expression` holds")
	c.Flags().IntVar(&head, "head", 0, "stop after this many `rows`; 0: print all")
	return c
}

func (a app) cat(r *runrecord.Run, name, where string, head int) error {
	o, err := outputOf(r, name)
	if err != nil {
		return err
	}
	if o.Kind == store.KindDir {
		path, err := r.Path(o)
		if err != nil {
			return err
		}
		return usageError{fmt.Errorf("%s is a folder and has no rows; it is at %s", o.Label(), path)}
	}
	var cond *data.Condition
	if where != "" {
		var wrong *expr.Error
		if cond, err = r.Condition(o, where); errors.As(err, &wrong) {
			return usageError{fmt.Errorf("--where: %w", err)}
		}
		if err != nil {
			return err
		}
	}
	n := 0
	for row, err := range r.Rows(o, 0, cond) {
		var wrong *expr.Error
		if errors.As(err, &wrong) { // what it says of this row's types is wrong
			return usageError{fmt.Errorf("--where: %w", err)}
		}
		if err != nil {
			return err
		}
		if _, err := a.out.Write(append(text.JSON(row.JSON), '\n')); err != nil {
			return err
		}
		if n++; n == head {
			return nil
		}
	}
	if cond != nil && o.Rows > 0 {
		for _, unseen := range cond.Unseen() {
			fmt.Fprintf(a.notes(), "distillflow: warning: --where: %s\n", unseen)
		}
	}
	return nil
}

// outputOf finds an output by STAGE or STAGE.PORT. Names of stages may hold dots.
func outputOf(r *runrecord.Run, name string) (runrecord.Output, error) {
	stageName, port := name, ""
	if i := strings.LastIndexByte(name, '.'); r.Stage(name) == nil && i >= 0 {
		stageName, port = name[:i], name[i+1:]
	}
	s, err := stageOf(r, stageName)
	if err != nil {
		return runrecord.Output{}, err
	}
	if o, ok := s.Output(port); ok {
		return o, nil
	}
	if len(s.Outputs) == 0 {
		return runrecord.Output{}, usageError{fmt.Errorf("stage %s has made nothing in run %s: it is %s", s.Name, r.ID, s.State)}
	}
	var ports []string
	for _, o := range s.Outputs {
		ports = append(ports, o.Port)
	}
	return runrecord.Output{}, usageError{fmt.Errorf("stage %s has no output %s; there are %s", s.Name, port, strings.Join(ports, ", "))}
}
