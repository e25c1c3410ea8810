package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
)

func (a app) showCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "show RUN",
		Short: "Show a run: its stages, figures, and what it dropped",
		Long: `show prints what is known of a run: params, machine, what became of every stage and
why, what stages did not pass on and for which reasons, all tables of figures, warnings.
` + runDoc + `

'distillflow outputs' and 'distillflow cat' show what the stages made,
'distillflow log' what happened when, and 'distillflow cache why KEY' explains a key.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			return errors.Join(view.Show(a.out, r), st.Close())
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	return c
}
