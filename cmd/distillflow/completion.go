package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/planview"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/stagedoc"
	"github.com/distillflow/distillflow/flow/recipe"
)

type completer = func(c *cobra.Command, pos []string, typed string) ([]string, cobra.ShellCompDirective)

// complete gives every command below root its shell completion. What can be
// proposed without a recipe on the command line is proposed; a recipe that
// cannot be read proposes nothing, and never an error into the user's line.
func (a app) complete(root *cobra.Command) {
	fixed := func(values ...string) completer {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return values, cobra.ShellCompDirectiveNoFileComp
		}
	}
	flags := map[string]completer{
		"set":     fromRecipe(paramsOf),
		"profile": fromRecipe(profilesOf),
		"force":   fromRecipe(stagesOf),
		"refresh": fromRecipe(stagesOf),
	}
	formats := map[string]completer{
		"plan": fixed(planview.Formats()...), "compare": fixed("text", "md", "json"), "audit": fixed("text", "json"),
		"runs": fixed("text", "json"), "stages": fixed("text", "md"),
	}
	positions := map[string]completer{
		"run": recipeFiles, "plan": recipeFiles, "validate": recipeFiles, "fmt": recipeFiles, "test": recipeFiles,
		"runs": recipeFiles, "stats": recipeFiles, "verify": recipeFiles, "gc": recipeFiles,
		"stages": stageTypes, "stage": stageTypes,
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		flags["format"] = formats[c.Name()]
		for name, f := range flags {
			if c.Flags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, f) // fails for unknown flags only
			}
		}
		if f, ok := positions[c.Name()]; ok && c.ValidArgsFunction == nil {
			c.ValidArgsFunction = f
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

// recipeFiles lets the shell complete the names of YAML files.
func recipeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// runNames proposes runs, and then the stages of one. A recipe stands for its last run.
func (a app) runNames(f *storeFlags) completer {
	a.err = io.Discard
	return func(_ *cobra.Command, pos []string, _ string) ([]string, cobra.ShellCompDirective) {
		var out []string
		switch len(pos) {
		case 0:
			out = append(out, "last")
			if st, err := f.open(a, "", true); err == nil {
				defer st.Close()
				const most = 20
				runs, _ := st.Runs() // a store that cannot be read proposes nothing
				for _, r := range runs[max(0, len(runs)-most):] {
					out = append(out, described(r.ID, r.Status+" "+r.Recipe))
				}
			}
			return out, cobra.ShellCompDirectiveDefault // names of recipes too
		case 1:
			if st, r, err := a.openRun(f, pos[0]); err == nil {
				defer st.Close()
				for _, s := range r.Stages {
					out = append(out, described(s.Name, s.Type))
				}
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func stageTypes(_ *cobra.Command, pos []string, _ string) ([]string, cobra.ShellCompDirective) {
	reg, err := registry()
	if err != nil || len(pos) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		out = append(out, name+"\t"+stagedoc.Summary(t.Doc))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// fromRecipe proposes what a recipe declares: the one on the command line, or
// the only one in the working directory.
func fromRecipe(list func(*recipe.Recipe) ([]string, cobra.ShellCompDirective)) completer {
	return func(_ *cobra.Command, pos []string, _ string) ([]string, cobra.ShellCompDirective) {
		path := optional(pos, 0)
		if path == "" {
			found, _ := filepath.Glob("*.yaml")
			if len(found) != 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			path = found[0]
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		r, _ := recipe.Load(path, recipe.Options{}) // a recipe with mistakes still helps
		return list(r)
	}
}

func paramsOf(r *recipe.Recipe) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, p := range r.Params {
		out = append(out, described(p.Name+"=", p.Help))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func profilesOf(r *recipe.Recipe) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, p := range r.Profiles {
		out = append(out, p.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func stagesOf(r *recipe.Recipe) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, s := range r.Stages {
		if !slices.Contains(out, s.Name) {
			out = append(out, described(s.Name, s.Uses))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// described is a proposal with its explanation, which shells show beside it.
func described(word, help string) string {
	if help = strings.Join(strings.Fields(help), " "); help == "" {
		return word
	}
	return word + "\t" + help
}
