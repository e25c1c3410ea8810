package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/cachekey"
)

func (a app) cacheWhyCmd(f *storeFlags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "why KEY [RECIPE]",
		Short: "Show what a key was made of, and who used it",
		Long: `why shows what went into the key of a result: the stage type, its version, the
config that differs from the defaults, the content of inputs and files. Then come
the outputs, and the recipes and stages that last had this result.

KEY may be shortened to its first four or more characters. 'distillflow plan
--format json' and 'distillflow show' print keys.`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, pos []string) error {
			st, err := f.open(a, optional(pos, 1), true)
			if err != nil {
				return err
			}
			defer st.Close()
			k, err := cachekey.Explain(st, pos[0])
			var wrong *cachekey.NameError
			switch {
			case errors.As(err, &wrong):
				return usageError{err}
			case err != nil:
				return err
			case asJSON:
				return k.JSON(a.out)
			}
			return k.Text(a.out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}
