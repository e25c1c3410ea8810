package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/example"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/train"
)

func (a app) renderCmd() *cobra.Command {
	var f recipeFlags
	var pick train.Pick
	var asJSON bool
	c := &cobra.Command{
		Use:   "render RECIPE STAGE",
		Short: "Show a training example as the model sees it",
		Long: `render lays out one reasoning path as a train-sft or train-moe stage of the recipe
trains on it, and prints its tokens: index, id, text, the byte at which each ends,
whether it is learned (carries loss), and its weight, which is one over the example's
learned tokens. (In training, loss is averaged over the learned tokens of a whole
batch.) Then come the totals, whether training drops the path for its length or holds
it out for the dev loss, and the text, with the learned part between ⟦ and ⟧.

--row counts the usable paths from 0: those that are answered, not verified wrong and
not judged invalid. --id and --style take the first path of a problem, of a style, or
of both. --student chooses a student of train-moe; render shows the first without it.

render runs no stage: the input of the stage must be in the store. It reads the
tokenizer and the chat template, but no weights. The tokenizers of train-moe are trained
from all paths, as training does it. Their special tokens show as <bos> and <eos>.
A token that is a part of a character has an empty text; the last one shows it whole.

--json prints one object: stage, uses, row, rows (usable paths), id, style, path (its
place among all paths of the problem), student, students, text, tokens (index, id,
text, special, end, loss, weight), prompt_tokens, supervised_tokens, reasoning_tokens,
max_seq, dropped (the reason, or "") and held_out. Fields are only ever added.`,
		Example: `  distillflow render recipes/gsm8k.yaml students --row 3 --student gemma
  distillflow render mine.yaml tune --id gsm8k-train-0001 --style cot --json`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, pos []string) error {
			if c.Flags().Changed("row") && (pick.ID != "" || pick.Style != "") {
				return usageError{errors.New("--row and --id or --style: give only one way to choose")}
			}
			r, err := a.render(c.Context(), &f, pos[0], pos[1], pick)
			if err != nil {
				return err
			}
			if asJSON {
				return example.JSON(a.out, r)
			}
			return example.Text(a.out, r)
		},
		ValidArgsFunction: func(c *cobra.Command, pos []string, typed string) ([]string, cobra.ShellCompDirective) {
			switch len(pos) {
			case 0:
				return recipeFiles(c, pos, typed)
			case 1:
				return fromRecipe(trainingStagesOf)(c, pos, typed)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	f.add(c)
	c.Flags().IntVar(&pick.Row, "row", 0, "the path to show, by its `number` among the usable ones, from 0")
	c.Flags().StringVar(&pick.ID, "id", "", "show a path of the problem with this `id`")
	c.Flags().StringVar(&pick.Style, "style", "", "show a path of this `style`")
	c.Flags().StringVar(&pick.Student, "student", "", "`name` of a student of train-moe (default: the first)")
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

func trainingStagesOf(r *recipe.Recipe) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, s := range r.Stages {
		if slices.Contains(train.RenderTypes(), s.Uses) {
			out = append(out, described(s.Name, s.Uses))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a app) render(ctx context.Context, f *recipeFlags, file, name string, pick train.Pick) (r *train.Rendered, err error) {
	e, g, o, err := a.load(ctx, f, file)
	if err != nil {
		return nil, err
	}
	n, err := example.Stage(g, name)
	if err != nil {
		return nil, usageError{err}
	}
	p, err := e.Plan(ctx, g, o)
	if err != nil {
		return nil, err
	}
	src, digest, err := example.Input(p, n, file)
	if err != nil {
		return nil, err
	}
	sf := storeFlags{dir: f.store}
	st, err := sf.open(a, file, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	path, err := st.VerifiedPath(digest)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.Label(), err)
	}
	r, err = train.Render(ctx, n.Config.Value(), stage.RowsFrom[schema.Problem](path, src.Label()), pick)
	var bad *train.PickError
	switch {
	case errors.As(err, &bad):
		return nil, usageError{fmt.Errorf("stage %s: %w", name, err)}
	case err != nil:
		return nil, fmt.Errorf("stage %s: %w", name, err)
	}
	r.Stage = name
	return r, nil
}
