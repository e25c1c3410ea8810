package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/trust"
	"github.com/distillflow/distillflow/internal/base/text"
)

// validated is what --json prints of a recipe.
type validated struct {
	Recipe string    `json:"recipe"`
	Stages int       `json:"stages"`
	May    trust.May `json:"may"`
}

func (a app) validateCmd() *cobra.Command {
	var f recipeFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate RECIPE...",
		Short: "Check recipes without running them",
		Long: `validate checks recipes as run does before it starts. It runs nothing, asks nobody, and
needs no network.

It also lists what a recipe may do beyond reading and writing in its own folder: the
programs it runs, the servers it asks and the keys that they get, files that it reads and
writes elsewhere, and variables of your environment that it sees. --json prints one object a
recipe: recipe, stages (their number), and may with runs, asks, reads, writes and env.`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			var failed error
			for _, path := range pos {
				_, g, _, err := a.check(&f, path)
				if err != nil {
					failed = err
					continue
				}
				may := trust.Of(c.Context(), g, a.getenv)
				if asJSON {
					var b bytes.Buffer
					e := json.NewEncoder(&b)
					e.SetEscapeHTML(false)
					if err := e.Encode(validated{path, len(g.Nodes), may}); err != nil {
						return err
					}
					if _, err := fmt.Fprintf(a.out, "%s\n", text.JSON(bytes.TrimSpace(b.Bytes()))); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(a.out, "%s: valid, %s\n", text.OneLine(path), text.Plural(len(g.Nodes), "stage"))
				if err := may.Text(a.out); err != nil {
					return err
				}
			}
			return failed
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON, one recipe a line")
	return c
}
