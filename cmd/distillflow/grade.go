package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

func (a app) gradeCmd() *cobra.Command {
	var gold, pred, name string
	var choices []string
	var explain bool
	policy := gradePolicy{percent: "lenient", units: "lenient"}
	c := &cobra.Command{
		Use:   "grade --gold G --pred P",
		Short: "Compare an answer, or a whole response, with a gold answer",
		Long: `grade shows what extract and verify-math or verify-choice would decide about one
answer. --pred may be a bare answer or a whole response, in which grade first looks
for the answer.

With --explain it also prints what was extracted by which rule, how both sides
were read (operator first, as in (+ (^ x 2) 1)), and the decision. The flags
--percent, --units, --ordered-lists and --strict-assignment set the policies of
verify-math; docs/answers.md lists them with examples.

Exit status: 0 equal, 1 different or undecided.`,
		Example: `  distillflow grade --gold '\frac{1}{2}' --pred 'so it is 0.5' --explain
  distillflow grade --gold 28% --pred 28 --percent strict
  distillflow grade --task arc_challenge --choice ice --choice steam --gold B --pred 'It is steam.'`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("gold") || !c.Flags().Changed("pred") {
				return usageError{fmt.Errorf("--gold and --pred are needed\nusage: %s", c.UseLine())}
			}
			if _, ok := task.Preset(name); !ok {
				return usageError{fmt.Errorf("--task %q: want one of %s", name, strings.Join(task.Presets(), ", "))}
			}
			q := answer.Question{Task: name, Gold: gold}
			for i, text := range choices {
				q.Choices = append(q.Choices, answer.Option{Label: label(i), Text: text})
			}
			opt, err := policy.options()
			if err != nil {
				return usageError{err}
			}
			return a.grade(q, pred, opt, explain)
		},
	}
	c.Flags().StringVar(&gold, "gold", "", "the right `answer`")
	c.Flags().StringVar(&pred, "pred", "", "the `answer` or response to grade")
	c.Flags().StringVar(&name, "task", "math", "the `task` whose rules apply")
	c.Flags().StringArrayVar(&choices, "choice", nil, "`text` of a choice; the first is A (repeatable)")
	c.Flags().BoolVar(&explain, "explain", false, "also show what was extracted and how both sides were read")
	c.Flags().StringVar(&policy.percent, "percent", policy.percent, "what a percent sign on one side only means: lenient or strict")
	c.Flags().StringVar(&policy.units, "units", policy.units, "how units are compared: lenient, strict or ignore")
	c.Flags().BoolVar(&policy.ordered, "ordered-lists", false, "bare lists keep the gold's order")
	c.Flags().BoolVar(&policy.assignment, "strict-assignment", false, "x = 5 is not the same answer as 5")
	return c
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
	if text == "" {
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
