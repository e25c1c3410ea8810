package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

func (a app) gradeCmd() *cobra.Command {
	var golds, choices []string
	var pred, name, recipeFile, row string
	var explain bool
	policy := gradePolicy{percent: "lenient", units: "lenient"}
	c := &cobra.Command{
		Use:   "grade --gold G --pred P",
		Short: "Compare an answer, or a whole response, with a gold answer",
		Long: `grade shows what extract and verify would decide about one answer. --pred may be a
bare answer or a whole response, in which grade first looks for the answer.

--task names a preset, a kind of answer (number, math, choice, yes_no, label, text), or
with --recipe a task that the recipe declares. With --row, task, choices and gold come
from a row as stages write it, and without --pred the responses of its paths are graded.

With --explain it also prints what was extracted by which rule, how both sides
were read (operator first, as in (+ (^ x 2) 1)), and the decision. The flags
--percent, --units, --ordered-lists and --strict-assignment set the policies of
verify; docs/answers.md lists them with examples.

Exit status: 0 equal, 1 different or undecided.`,
		Example: `  distillflow grade --gold '\frac{1}{2}' --pred 'so it is 0.5' --explain
  distillflow grade --gold 28% --pred 28 --percent strict
  distillflow grade --task arc_challenge --choice ice --choice steam --gold B --pred 'It is steam.'
  distillflow grade --task text --gold NYC --gold 'New York' --pred 'The answer is New York, not LA.'
  distillflow grade --recipe own.yaml --task intent --gold refund --pred 'Money back.'
  grep '"id":"q7"' out/all.jsonl | distillflow grade --row - --explain`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			opt, err := policy.options()
			if err != nil {
				return usageError{err}
			}
			if row != "" {
				for _, f := range []string{"gold", "task", "recipe", "choice"} {
					if c.Flags().Changed(f) {
						return usageError{fmt.Errorf("--%s comes from the row: leave it out, or leave out --row", f)}
					}
				}
				q, responses, err := a.gradedRow(row)
				if c.Flags().Changed("pred") {
					responses = []string{pred}
				}
				if err == nil && len(responses) == 0 {
					err = fmt.Errorf("%s: the row has no response: give --pred", row)
				}
				if err != nil {
					return err
				}
				return a.gradeAll(q, responses, opt, explain)
			}
			if !c.Flags().Changed("gold") || !c.Flags().Changed("pred") {
				return usageError{fmt.Errorf("--gold and --pred are needed\nusage: %s", c.UseLine())}
			}
			t, err := gradedTask(recipeFile, name)
			if err != nil {
				return usageError{err}
			}
			q := answer.Question{Spec: &t}
			for i, text := range choices {
				q.Choices = append(q.Choices, answer.Option{Label: label(i), Text: text})
			}
			for _, g := range golds {
				q.Golds = append(q.Golds, answer.Golds(q, g)...)
			}
			q.Gold = q.Golds[0]
			return a.gradeAll(q, []string{pred}, opt, explain)
		},
	}
	c.Flags().StringArrayVar(&golds, "gold", nil, "the right `answer` (repeatable where there are several)")
	c.Flags().StringVar(&pred, "pred", "", "the `answer` or response to grade")
	c.Flags().StringVar(&name, "task", "math", "the `task` whose rules apply: a preset, a kind of answer, or one of --recipe")
	c.Flags().StringVar(&recipeFile, "recipe", "", "`file` that declares the task")
	c.Flags().StringVar(&row, "row", "", "`file` whose first row gives task, choices and gold; - is standard input")
	c.Flags().StringArrayVar(&choices, "choice", nil, "`text` of a choice; the first is A (repeatable)")
	c.Flags().BoolVar(&explain, "explain", false, "also show what was extracted and how both sides were read")
	c.Flags().StringVar(&policy.percent, "percent", policy.percent, "what a percent sign on one side only means: lenient or strict")
	c.Flags().StringVar(&policy.units, "units", policy.units, "how units are compared: lenient, strict or ignore")
	c.Flags().BoolVar(&policy.ordered, "ordered-lists", false, "bare lists keep the gold's order")
	c.Flags().BoolVar(&policy.assignment, "strict-assignment", false, "x = 5 is not the same answer as 5")
	return c
}

// gradedTask finds a task by its name: one that a recipe declares, a preset, or a kind.
func gradedTask(recipeFile, name string) (task.Task, error) {
	if recipeFile != "" {
		r, diags := recipe.Load(recipeFile, recipe.Options{})
		var names []string
		for _, e := range r.Tasks {
			if e.Key == name {
				text, err := json.Marshal(e.Val.Interface())
				if err != nil {
					return task.Task{}, err
				}
				t, err := task.Parse(text)
				if err != nil {
					err = fmt.Errorf("%s: task %s: %w", recipeFile, name, err)
				}
				return t, err
			}
			names = append(names, e.Key)
		}
		if diags.HasErrors() {
			return task.Task{}, diags
		}
		return task.Task{}, fmt.Errorf("--task %q: %s declares %s", name, recipeFile, cmp.Or(strings.Join(names, ", "), "no task"))
	}
	if t, ok := task.Preset(name); ok {
		return t, nil
	}
	if slices.Contains(task.Kinds(), task.Kind(name)) {
		t := task.Task{Answer: task.Kind(name)}
		return t, t.Validate()
	}
	kinds := make([]string, 0, 6)
	for _, k := range task.Kinds() {
		kinds = append(kinds, string(k))
	}
	return task.Task{}, fmt.Errorf("--task %q: want one of %s, or a kind of answer (%s); --recipe takes one that a recipe declares", name, strings.Join(task.Presets(), ", "), strings.Join(kinds, ", "))
}

// gradedRow reads the first row of a file: its question and the responses of its paths.
func (a app) gradedRow(file string) (answer.Question, []string, error) {
	in, name := a.in, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return answer.Question{}, nil, err
		}
		defer f.Close()
		in, name = f, file
	}
	var p schema.Problem
	err := json.NewDecoder(in).Decode(&p)
	if err == nil {
		_, err = p.TakeLists()
	}
	if err != nil {
		return answer.Question{}, nil, fmt.Errorf("%s: the first row: %w", name, err)
	}
	q, err := answer.Of(p)
	if err != nil {
		return answer.Question{}, nil, fmt.Errorf("%s: the first row: %w", name, err)
	}
	var responses []string
	for _, path := range p.Paths {
		responses = append(responses, path.Response)
	}
	return q, responses, nil
}

// gradeAll grades each of the answers. The error is that of the last that is not right.
func (a app) gradeAll(q answer.Question, preds []string, opt mathverify.Options, explain bool) error {
	var last error
	for _, pred := range preds {
		if err := a.grade(q, pred, opt, explain); err != nil {
			last = err
		}
	}
	return last
}

// gradePolicy holds the flags that stand for options of verify-math.
type gradePolicy struct {
	percent, units      string
	ordered, assignment bool
}

func (p gradePolicy) options() (mathverify.Options, error) {
	o := mathverify.Options{OrderedLists: p.ordered, StrictAssignment: p.assignment}
	switch p.percent {
	case "lenient":
	case "strict":
		o.Percent = mathverify.PercentStrict
	default:
		return o, fmt.Errorf("--percent %q: want lenient or strict", p.percent)
	}
	switch p.units {
	case "lenient":
	case "strict":
		o.Units = mathverify.UnitsStrict
	case "ignore":
		o.Units = mathverify.UnitsIgnore
	default:
		return o, fmt.Errorf("--units %q: want lenient, strict or ignore", p.units)
	}
	return o, nil
}

// label names the i-th choice: A to Z, then 27, 28, ...
func label(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return strconv.Itoa(i + 1)
}

func (a app) grade(q answer.Question, pred string, opt mathverify.Options, explain bool) error {
	found := answer.Extract(q, pred, answer.Options{})
	text := found.Answer
	if text == "" && q.Kind() != answer.Text {
		text = pred // a bare answer in a form that no rule looks for
	}
	r := answer.Grade(q, text, opt)
	fmt.Fprintf(a.out, "%s: %s\n", r.Verdict, r.Reason)
	if explain {
		if found.Answer != "" {
			fmt.Fprintf(a.out, "extracted  %q by rule %s, bytes %d to %d\n", found.Answer, found.Rule, found.Start, found.End)
		} else {
			fmt.Fprintf(a.out, "extracted  nothing (%s); graded as it stands\n", found.Reason)
		}
		fmt.Fprintf(a.out, "gold       %s\npred       %s\n", indented(r.Gold, 11), indented(r.Pred, 11))
	}
	if r.Verdict != mathverify.Equal {
		return shownError{fmt.Errorf("%s", r.Verdict)}
	}
	return nil
}

// treeWidth is the length up to which a tree stays on one line.
const treeWidth = 64

// indented breaks a long tree in prefix form into lines, one argument a line,
// behind a margin of the given width.
func indented(tree string, margin int) string {
	if tree == "" {
		return "(not read)"
	}
	if len(tree) <= treeWidth || tree[0] != '(' || tree[len(tree)-1] != ')' {
		return tree
	}
	parts := treeParts(tree[1 : len(tree)-1])
	var b strings.Builder
	b.WriteString("(" + parts[0])
	for _, p := range parts[1:] {
		b.WriteString("\n" + strings.Repeat(" ", margin+2) + indented(p, margin+2))
	}
	return b.String() + ")"
}

// treeParts splits at spaces outside of brackets and quotes.
func treeParts(s string) []string {
	var out []string
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' || c == ')':
			depth += map[byte]int{'(': 1, ')': -1}[c]
		case c == ' ' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}
