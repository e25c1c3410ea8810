package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) validateCmd() *cobra.Command {
	var f recipeFlags
	c := &cobra.Command{
		Use:   "validate RECIPE...",
		Short: "Check recipes without running them",
		Args:  args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			var failed error
			for _, path := range pos {
				_, g, _, err := a.check(&f, path)
				if err != nil {
					failed = err
					continue
				}
				fmt.Fprintf(a.out, "%s: valid, %s\n", path, text.Plural(len(g.Nodes), "stage"))
			}
			return failed
		},
	}
	f.add(c)
	return c
}
