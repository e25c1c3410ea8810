package data

import (
	"encoding/json"
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
var goldFields = []string{"gold_answer", "answer", "answerKey", "label", "solution"}

// gold finds the row's gold answer in the form that the task's verifier
// compares with. repaired tells that a JSON escape had broken it.
func (r *rowParser) gold() (text string, repaired bool, err error) {
	raw := answer.Raw{}
	for _, name := range goldFields {
		v, ok := r.seen[name]
		if !ok || v.Type == gjson.Null {
			continue
		}
		// A worked solution is a gold answer only where it ends in one.
		if name == "solution" && !(strings.Contains(v.String(), "####") || strings.Contains(v.String(), `\boxed`)) {
			continue
		}
		raw[name] = json.RawMessage(v.Raw)
		if v.Type == gjson.Number && r.counts(name) {
			label, err := indexed(v, r.row.Choices)
			if err != nil {
				return "", false, fmt.Errorf("field %q: %w", name, err)
			}
			raw[name] = schema.AppendString(nil, label)
		}
	}
	options := make([]answer.Option, len(r.row.Choices))
	for i, c := range r.row.Choices {
		options[i] = answer.Option(c)
	}
	g, err := answer.NormalizeGold(r.task, raw, options)
	if errors.Is(err, answer.ErrNoGold) {
		return "", false, fmt.Errorf("the gold answer is missing: a row of %s gives it as gold_answer or %s", r.task, goldHelp[r.task])
	}
	return g.Answer, g.Repaired, err
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
