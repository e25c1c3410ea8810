package main

import (
	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipeschema"
)

//go:generate sh -c "go run . schema > ../../schema/recipe.schema.json"

func (a app) schemaCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of recipes, for editors",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			reg, err := registry()
			if err != nil {
				return err
			}
			b, err := recipeschema.Generate(reg)
			if err != nil {
				return err
			}
			_, err = a.out.Write(b)
			return err
		},
	}
}
