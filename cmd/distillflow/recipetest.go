package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/expect"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) testCmd() *cobra.Command {
	var pattern string
	var record, asJSON bool
	c := &cobra.Command{
		Use:   "test RECIPE|FOLDER...",
		Short: "Test recipes by the expectations beside them, without network",
		Long: `test runs the cases in NAME.test.yaml beside the recipe NAME.yaml and checks what
they expect of the ports of stages. A folder stands for all tests below it.

  teacher: answers.jsonl            # recorded answers for all cases (optional)
  cases:
    - name: a right answer is told from a wrong one
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

A case runs the stages that expect names, those named under until, and what they
need; nothing is saved. all, any and none take a row expression as filter does, or
a list of them; digest wants the exact content.

Models answer from recorded answers: the first one of which every condition holds
that it gives (stage, id of the row, style, model, system, prompt in full, match as
regular expression in the prompt, replicate, try). It has answer (and finish_reason,
reasoning), or error, or for a judge verdict and reason. The simulated model answers
by itself what no answer fits; a call to any other model is an error. Answers stand
in the test file, in .jsonl or .yaml files that it names, and in
NAME.answers.jsonl beside it.

--record asks the models for what is missing, with your keys and your memo of paid
answers, and adds their answers to the first .jsonl file under teacher, or to
NAME.answers.jsonl. To record anew, remove lines from it.

Stores are temporary: no test sees your cache or changes it. Relative paths in a
test file are relative to it.

Exit status: 0 all cases passed, 1 one failed, 2 a test file or a recipe is wrong.`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			only, err := regexp.Compile(pattern)
			if err != nil {
				return usageError{fmt.Errorf("--run: %w", err)}
			}
			suites, err := a.loadTests(pos, only)
			if err != nil {
				return err
			}
			v := testView{w: a.out, json: asJSON}
			err = a.runTests(c.Context(), suites, record, &v)
			return errors.Join(err, v.close())
		},
	}
	c.Flags().StringVar(&pattern, "run", "", "run only the cases whose name matches this `regexp`")
	c.Flags().BoolVar(&record, "record", false, "ask the models for answers that are not recorded, and record them")
	c.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	return c
}

// suite is the tests of one recipe.
type suite struct {
	recipe string
	file   *expect.File
	cases  []*boundCase
}

// loadTests reads and checks all test files before anything runs.
func (a app) loadTests(pos []string, only *regexp.Regexp) ([]*suite, error) {
	reg, err := registry()
	if err != nil {
		return nil, err
	}
	var suites []*suite
	var wrong diag.List
	for _, p := range pos {
		tests, err := testFiles(p)
		if err != nil {
			return nil, usageError{err}
		}
		for _, test := range tests {
			s := &suite{recipe: expect.RecipeFile(test)}
			if expect.TestFile(p) == test {
				s.recipe = p // its name may end in .yml
			}
			var diags diag.List
			s.file, diags = expect.Read(test)
			for _, c := range s.file.Cases {
				if !only.MatchString(c.Name) {
					continue
				}
				b, more, src := bindCase(s, c, reg)
				for _, d := range more { // snippets of the recipe too
					if text, ok := src.Text(d.Span.Start.File); ok {
						s.file.Sources.Add(d.Span.Start.File, []byte(text))
					}
				}
				diags.Add(more...)
				s.cases = append(s.cases, b)
			}
			if len(diags) > 0 {
				if len(wrong) > 0 {
					fmt.Fprintln(a.err)
				}
				if err := diags.Render(a.err, s.file.Sources); err != nil {
					return nil, err
				}
				wrong.Add(diags...)
			}
			suites = append(suites, s)
		}
	}
	if wrong.HasErrors() {
		return nil, shownError{usageError{wrong.Err()}}
	}
	if !slices.ContainsFunc(suites, func(s *suite) bool { return len(s.cases) > 0 }) {
		return nil, usageError{fmt.Errorf("--run %q: no case is called so", only)}
	}
	return suites, nil
}

// testFiles finds the tests that an argument names: a recipe, a test file or a folder.
func testFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, fmt.Errorf("no recipe %s: %w", arg, pathCause(err))
	}
	if !info.IsDir() {
		if !strings.HasSuffix(arg, expect.Suffix) {
			arg = expect.TestFile(arg)
		}
		if _, err := os.Stat(arg); err != nil {
			return nil, fmt.Errorf("there are no tests: %s: %w", arg, pathCause(err))
		}
		return []string{arg}, nil
	}
	var found []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, expect.Suffix):
			found = append(found, path)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("there are no tests (*%s) below %s", expect.Suffix, arg)
	}
	return found, err
}

// runTests runs the cases one after the other; the engine uses the cores within one.
func (a app) runTests(ctx context.Context, suites []*suite, record bool, v *testView) (err error) {
	dir, err := os.MkdirTemp("", "distillflow-test-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	reg, err := registry()
	if err != nil {
		return err
	}
	t := tester{app: a, reg: reg, dir: dir, record: record, stores: map[string]string{}}
	failed := 0
	for _, s := range suites {
		for _, c := range s.cases {
			start := time.Now()
			r := t.run(ctx, s, c)
			if ctx.Err() != nil {
				return fmt.Errorf("stopped: %w", context.Cause(ctx))
			}
			r.seconds = time.Since(start).Seconds()
			if !r.passed() {
				failed++
			}
			if err := v.show(s, c, r); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return shownError{fmt.Errorf("%s failed", text.Plural(failed, "case"))}
	}
	return nil
}

// expected is a check and the port that it looks at.
type expected struct {
	check expect.Check
	node  string
	port  stage.Port
}
