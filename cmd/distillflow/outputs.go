package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/internal/base/suggest"
)

func (a app) outputsCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "outputs RUN [STAGE]",
		Short: "List what the stages of a run made, and where it is",
		Long: `outputs lists the outputs of a run's stages: the records they hold, rows, size, and the
path where save: put them or where they lie in the store. Do not write there.
` + runDoc,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, pos []string) error {
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			stages := r.Stages
			if len(pos) > 1 {
				s, err := stageOf(r, pos[1])
				if err != nil {
					return errors.Join(err, st.Close())
				}
				stages = []*runrecord.Stage{s}
			}
			return errors.Join(view.Outputs(a.out, r, stages), st.Close())
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	return c
}

// stageOf finds a stage of a run by name.
func stageOf(r *runrecord.Run, name string) (*runrecord.Stage, error) {
	if s := r.Stage(name); s != nil {
		return s, nil
	}
	msg := fmt.Sprintf("run %s has no stage %s", r.ID, name)
	var names []string
	for _, s := range r.Stages {
		names = append(names, s.Name)
	}
	if near := suggest.Near(name, names); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else if len(names) > 0 {
		msg += "; it has " + strings.Join(names, ", ")
	}
	return nil, usageError{errors.New(msg)}
}
