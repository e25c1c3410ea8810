package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed init.yaml
var firstRecipe []byte

func (a app) initCmd() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "init [FILE] | init --from DATA [DIR|FILE]",
		Short: "Write a first recipe to start from",
		Long: `init writes a commented recipe, recipe.yaml unless FILE names another, and beside
it problems.jsonl with two problems, so that it runs as it is. It
overwrites nothing.

With --from it looks at the first 1000 rows of your data, guesses what kind of answers
they have and where their fields are, and writes a recipe that declares that as a
task: recipe.yaml in DIR, or FILE where it ends in .yaml. It shows three prompts and
what their gold answers are read as, and says where it is not sure.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if c.Flags().Changed("from") {
				return a.initFrom(c.Context(), from, strings.Join(pos, ""))
			}
			path := "recipe.yaml"
			if len(pos) > 0 {
				path = pos[0]
			}
			if err := create(path, firstRecipe); err != nil {
				return err
			}
			data := filepath.Join(filepath.Dir(path), "problems.jsonl")
			if _, err := os.Lstat(data); errors.Is(err, fs.ErrNotExist) {
				if err := create(data, []byte(firstProblems)); err != nil {
					return err
				}
			}
			_, err := fmt.Fprintf(a.out, "wrote %s; next: distillflow run %s\n", path, path)
			return err
		},
	}
	c.Flags().StringVar(&from, "from", "", "data to write the recipe for: what scan takes as root, a file, folder or glob, or hf://owner/dataset#split")
	return c
}

const firstProblems = `{"id": "1", "question": "Ann has 2 nuts and finds 3 more. How many has she?", "answer": "5"}
{"id": "2", "question": "A box holds 6 eggs. How many eggs are in 4 boxes?", "answer": "24"}
`

// create writes a file that must not be there yet.
func create(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return usageError{fmt.Errorf("%s already exists; name another file", path)}
	}
	if err != nil {
		return usageError{err}
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
