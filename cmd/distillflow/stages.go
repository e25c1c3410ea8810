package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/stagedoc"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/suggest"
)

func (a app) stagesCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "stages [TYPE]",
		Short: "List the stage types, or document one",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			reg, err := registry()
			if err != nil {
				return err
			}
			if len(pos) == 0 {
				return stagedoc.List(a.out, reg)
			}
			t, err := lookup(reg, pos[0])
			if err != nil {
				return err
			}
			return stagedoc.Describe(a.out, t)
		},
	}
}

func lookup(reg *stage.Registry, name string) (*stage.Type, error) {
	t, ok := reg.Lookup(name)
	if ok {
		return t, nil
	}
	msg := fmt.Sprintf("unknown stage type %q", name)
	if s := suggest.Near(name, reg.Names()); s != "" {
		msg += fmt.Sprintf("; did you mean %q?", s)
	}
	return nil, usageError{fmt.Errorf("%s\n'distillflow stages' lists them", msg)}
}
