package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
)

func (a app) gradeCmd() *cobra.Command {
	var gold, pred, task string
	var choices []string
	var explain bool
	c := &cobra.Command{
		Use:   "grade --gold G --pred P",
		Short: "Compare an answer, or a whole response, with a gold answer",
		Long: `grade shows what extract and verify-math or verify-choice would decide about one
answer. --pred may be a bare answer or a whole response; a response is first
searched for the answer that it states.

Exit status: 0 equal, 1 different or undecided.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("gold") || !c.Flags().Changed("pred") {
				return usageError{fmt.Errorf("--gold and --pred are needed\nusage: %s", c.UseLine())}
			}
			if !answer.Known(task) {
				return usageError{fmt.Errorf("--task %q: want one of %s", task, strings.Join(answer.Tasks(), ", "))}
			}
			q := answer.Question{Task: task, Gold: gold}
			for i, text := range choices {
				q.Choices = append(q.Choices, answer.Option{Label: label(i), Text: text})
			}
			return a.grade(q, pred, explain)
		},
	}
	c.Flags().StringVar(&gold, "gold", "", "the right `answer`")
	c.Flags().StringVar(&pred, "pred", "", "the `answer` or response to grade")
	c.Flags().StringVar(&task, "task", "math", "the `task` whose rules apply")
	c.Flags().StringArrayVar(&choices, "choice", nil, "`text` of a choice; the first is A (repeatable)")
	c.Flags().BoolVar(&explain, "explain", false, "also show what was extracted and how both sides were read")
	return c
}

// label names the i-th choice: A to Z, then 27, 28, ...
func label(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return strconv.Itoa(i + 1)
}

func (a app) grade(q answer.Question, pred string, explain bool) error {
	found := answer.Extract(q, pred, answer.Options{})
	text := found.Answer
	if text == "" {
		text = pred // a bare answer in a form that no rule looks for
	}
	r := answer.Grade(q, text, mathverify.Options{})
	fmt.Fprintf(a.out, "%s: %s\n", r.Verdict, r.Reason)
	if explain {
		if found.Answer != "" {
			fmt.Fprintf(a.out, "extracted  %q by rule %s, bytes %d to %d\n", found.Answer, found.Rule, found.Start, found.End)
		} else {
			fmt.Fprintf(a.out, "extracted  nothing (%s); graded as it stands\n", found.Reason)
		}
		fmt.Fprintf(a.out, "gold       %s\npred       %s\n", r.Gold, r.Pred)
	}
	if r.Verdict != mathverify.Equal {
		return shownError{fmt.Errorf("%s", r.Verdict)}
	}
	return nil
}
