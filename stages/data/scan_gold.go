package data

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/schema"
)

// goldFields are the fields that may state the gold answer; which of them
// counts for a task is for [answer.NormalizeGold] to say.
var goldFields = [...]string{"gold_answer", "answer", "answerKey", "label", "solution"}

// gold finds the row's gold answer in the form that the task's verifier
// compares with. repaired tells that a JSON escape had broken it.
func (r *rowParser) gold() (text string, repaired bool, err error) {
	// A number that counts no choice is an error in any of the fields.
	for i, name := range goldFields {
		if v := r.raw[i]; v.Type == gjson.Number && r.counts(name) {
			if _, err := indexed(v, r.row.Choices); err != nil {
				return "", false, fmt.Errorf("field %q: %w", name, err)
			}
		}
	}
	options := make([]answer.Option, len(r.row.Choices))
	for i, c := range r.row.Choices {
		options[i] = answer.Option(c)
	}
	g, err := answer.GoldOf(r.task, r.goldText, options)
	if errors.Is(err, answer.ErrNoGold) {
		return "", false, fmt.Errorf("the gold answer is missing: a row of %s gives it as gold_answer or %s", r.task, goldHelp[r.task])
	}
	return g.Answer, g.Repaired, err
}

// goldText gives the text of a field that may state the gold answer.
func (r *rowParser) goldText(name string) (string, error) {
	v := r.raw[slices.Index(goldFields[:], name)]
	// A worked solution is a gold answer only where it ends in one.
	if name == "solution" && !(strings.Contains(v.String(), "####") || strings.Contains(v.String(), `\boxed`)) {
		return "", nil
	}
	if v.Type == gjson.Number && r.counts(name) {
		return indexed(v, r.row.Choices)
	}
	return answer.ScalarText(v)
}

// goldHelp names each task's own field for error messages.
var goldHelp = map[string]string{
	"gsm8k":          `answer, or a solution that ends in "#### 18"`,
	"math":           `answer, or a solution with \boxed{}`,
	"arc_challenge":  "answerKey",
	"commonsense_qa": "answerKey",
	"date":           "answerKey",
	"anli":           "label",
	"strategy_qa":    "answer",
	"table_mwp":      "answer",
}

// counts reports whether a number in a field may count the choices instead of
// naming one. In answer it is an answer, as tables of numbers have it.
func (r *rowParser) counts(name string) bool {
	return name != "answer" && len(r.row.Choices) > 0 && r.task != "anli"
}

// indexed turns a number into a choice's label. A number that is no label or
// text itself counts from 0, as the Hugging Face versions of the sets do.
func indexed(v gjson.Result, choices []schema.Choice) (string, error) {
	if i := slices.IndexFunc(choices, func(c schema.Choice) bool { return c.Label == v.Raw || c.Text == v.Raw }); i >= 0 {
		return choices[i].Label, nil
	}
	n, err := strconv.Atoi(v.Raw)
	if err != nil || n < 0 || n >= len(choices) {
		return "", fmt.Errorf("%s counts the choices from 0, and there are %d", v.Raw, len(choices))
	}
	return choices[n].Label, nil
}
