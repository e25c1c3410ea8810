package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/stagedoc"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/suggest"
)

//go:generate sh -c "go run . stages --format md > ../../docs/stages.md"

func (a app) stagesCmd() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "stages [TYPE]",
		Short: "List the stage types, or document one",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			reg, err := registry()
			if err != nil {
				return err
			}
			switch {
			case format != "text" && format != "md":
				return usageError{fmt.Errorf("--format %s: want text or md", format)}
			case format == "md" && len(pos) > 0:
				return usageError{errors.New("--format md writes all stage types as one page; leave TYPE out")}
			case format == "md":
				return stagedoc.Markdown(a.out, reg)
			case len(pos) == 0:
				return stagedoc.List(a.out, reg)
			}
			t, err := lookup(reg, pos[0])
			if err != nil {
				return err
			}
			return stagedoc.Describe(a.out, t)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text, or md for one page of all stage types")
	return c
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
