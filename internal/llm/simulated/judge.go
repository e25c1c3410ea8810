package simulated

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// judge gives a verdict on h.Response. It checks the arithmetic it can read, so reasoning
// with a false equation is called invalid; sound reasoning is called valid as often as the
// options say.
func (c *Client) judge(h llm.Hint, rng *rand.Rand) string {
	unclear, lenient := rng.Float64() < c.o.JudgeUnclear, rng.Float64() < c.o.JudgeValid
	switch bad := falseEquation(h.Response); {
	case unclear:
		return "It depends on how one reads the question."
	case strings.TrimSpace(h.Response) == "":
		return verdict("invalid", "There is no reasoning.")
	case bad != "":
		return verdict("invalid", fmt.Sprintf("The step %s is false.", bad))
	case !lenient:
		return verdict("invalid", "A step does not follow from the question.")
	}
	return verdict("valid", "Each step follows and supports the answer.")
}

// doubt is what the judge thinks before it replies: a verdict that it does not give.
const doubt = `Is it {"verdict":"invalid","reason":"A step is missing."}? Let me read each step again.`

func verdict(v, reason string) string {
	b, _ := json.Marshal(struct { // two strings always have a JSON form
		Verdict string `json:"verdict"`
		Reason  string `json:"reason"`
	}{v, reason})
	return string(b)
}

// falseEquation returns the first "expression = number" in s that does not hold, up to the
// rounding of the number as it is written. Equations it cannot read count as true.
func falseEquation(s string) string {
	const expr = "0123456789.,+-*/()$% x×"
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			continue
		}
		left := s[:i]
		start := len(strings.TrimRight(left, expr))
		// A full stop or a comma before a space ends what stood before.
		for _, end := range []string{". ", ", "} {
			if k := strings.LastIndex(left[start:], end); k >= 0 {
				start += k + len(end)
			}
		}
		lhs := strings.TrimSpace(left[start:])
		right := strings.TrimLeft(s[i+1:], " $")
		end := len(right) - len(strings.TrimLeft(right, "0123456789.,"))
		rhs := strings.TrimRight(right[:end], ".,")
		follows := strings.TrimLeft(right[end:], " ")
		if rhs == "" || follows != "" && strings.ContainsAny(follows[:1], "+-*/x(%^") {
			continue
		}
		want, ok := eval(lhs)
		got, okRHS := number(rhs)
		if !ok || !okRHS || strings.Trim(lhs, "0123456789., $") == "" {
			continue
		}
		if diff := new(big.Rat).Sub(want, got); diff.Abs(diff).Cmp(rounding(rhs)) > 0 {
			return lhs + " = " + rhs
		}
	}
	return ""
}

// rounding is half a unit in the last decimal that is written; whole numbers are exact
// unless the true value is not whole, which rounding to a unit explains as well.
func rounding(written string) *big.Rat {
	_, decimals, _ := strings.Cut(written, ".")
	unit := big.NewRat(1, 2)
	for range min(len(decimals), 9) {
		unit.Mul(unit, big.NewRat(1, 10))
	}
	return unit
}
