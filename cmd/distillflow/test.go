package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipetest"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) testCmd() *cobra.Command {
	var pattern string
	var record, asJSON bool
	var allow trustFlags
	c := &cobra.Command{
		Use:   "test RECIPE|FOLDER...",
		Short: "Test recipes by the expectations beside them, without network",
		Long: `test runs the cases in NAME.test.yaml beside the recipe NAME.yaml and checks what
they expect of the ports of stages. A folder means all tests below it.

  teacher: answers.jsonl            # recorded answers for all cases (optional)
  cases:
    - name: a right answer passes, a wrong one does not
      params: {teacher: openai/gpt-4o-mini, data: two.jsonl}   # also: profile, seed
      teacher:                                # answers for this case
        - {id: ann, style: cot, answer: "2 + 3 = 5. The answer is 5."}
        - {match: "(?i)how many", answer: "The answer is 6."}
      expect:
        graded: {count: 2, fields: [id, paths.pred]}
        graded.correct:
          count: {min: 1, max: 1}
          all: id == "ann"
        judged: {skipped: true}

A case runs the stages that expect and until name, and what they need. It saves
nothing. all, any and none take a row expression as filter does, or
a list of them; digest wants the exact content.

Models give recorded answers: the first whose conditions all hold (stage, id of the
row, style, model, system, prompt in full, match as a regular expression in the
prompt, replicate, try). An answer has answer (and finish_reason, reasoning), or
error, or for a judge verdict and reason. Where no answer fits, the simulated model
answers by itself, and a call to any other model is an error. Answers are in the
test file, in .jsonl or .yaml files that it names, and in NAME.answers.jsonl beside
it.

--record asks the models for missing answers, with your keys and your memo of paid
answers, and adds them to the first .jsonl file under teacher, or to
NAME.answers.jsonl. Remove lines from that file to record them again.

Stores are temporary: no test sees your cache or changes it. Relative paths in a
test file are relative to it.

Exit status: 0 all cases passed, 1 one failed, 2 a test file or a recipe is wrong.`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			only, err := regexp.Compile(pattern)
			if err != nil {
				return usageError{fmt.Errorf("--run: %w", err)}
			}
			reg, err := registry()
			if err != nil {
				return err
			}
			suites, err := recipetest.Load(pos, only, reg, a.notes())
			var shown diag.List
			switch {
			case errors.As(err, &shown):
				return shownError{usageError{err}}
			case err != nil:
				return usageError{err}
			}
			for _, g := range recipetest.Graphs(suites) {
				if err := a.consentToTest(c.Context(), allow, g, record); err != nil {
					return err
				}
			}
			r := recipetest.Runner{Registry: reg, Getenv: a.getenv, Record: record, Out: a.out, JSON: asJSON}
			failed, err := r.Run(c.Context(), suites)
			if err == nil && failed > 0 {
				err = shownError{fmt.Errorf("%s failed", text.Plural(failed, "case"))}
			}
			return err
		},
	}
	c.Flags().StringVar(&pattern, "run", "", "run only the cases whose name matches this `regexp`")
	allow.add(c)
	c.Flags().BoolVar(&record, "record", false, "ask the models for answers that are not recorded, and record them")
	c.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	return c
}
