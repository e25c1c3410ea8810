package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/mathverify"
)

var maximaRules = map[string]func([]string) (string, bool){
	"log": form(1, `\ln($1)`), "ln": form(1, `\ln($1)`), "lg": func(a []string) (string, bool) {
		if len(a) == 1 {
			return `\log_{10}(` + a[0] + ")", true
		}
		return form(2, `\log_{$2}($1)`)(a)
	},
	"root": func(a []string) (string, bool) {
		if len(a) == 1 {
			return `\sqrt{` + a[0] + "}", true
		}
		return form(2, `(($1)^{1/($2)})`)(a)
	},
	"cc": form(2, "[$1,$2]"), "oo": form(2, "($1,$2)"), "oc": form(2, "($1,$2]"), "co": form(2, "[$1,$2)"),
	"%union": func(a []string) (string, bool) { return strings.Join(a, ` \cup `), len(a) > 0 },
	"matrix": rows, "diff": form(2, `\frac{d}{d$2}($1)`), "sum": form(4, `\sum_{$2=$3}^{$4}($1)`),
	"product": form(4, `\prod_{$2=$3}^{$4}($1)`), "binomial": form(2, `\binom{$1}{$2}`), "signum": form(1, `\sgn($1)`),
	"exp": form(1, "e^{$1}"), "polarform": form(1, "$1"), "rectform": form(1, "$1"), "expand": form(1, "$1"),
	"asinh": form(1, `\operatorname{arcsinh}($1)`), "abs": form(1, "|$1|"), "scientific_notation": form(2, "$1"),
	"displaysci": form(3, `$1 \cdot 10^{$3}`), "stackunits": refuse, "round": refuse,
}

// unsupported lists Maxima features outside of answers: logic, evaluation
// flags, predicates, inert functions.
var unsupported = regexp.MustCompile(`ev\(|radcan|ratsimp|stack_|assume|declare|taylor|predicate|trigrat|trigeval|logcontract|integerp|termsp|noun(diff|int|and|or|add)|'|:|"|implies|xnor|xor|\bnot\b|\ball\b|\bnone\b|\btrue\b|\bfalse\b|significantfigures|subst|NULLNUM|disp_|map\(|int\(|algebraic|boolean|\]\*|,\[|\b[ABC] (and|or)|#pm#`)

// maxima translates an expression; ok is false where there is no counterpart.
func maxima(s string) (string, bool) {
	if unsupported.MatchString(s) {
		return "", false
	}
	out, ok := rewriteCalls(s, maximaRules)
	if !ok {
		return "", false
	}
	out = regexp.MustCompile(`([A-Za-z]+)\[(\w+)\]`).ReplaceAllString(out, `${1}_{$2}`)
	out = strings.NewReplacer("%pi", `\pi `, "%i", " i ", "%e", " e ", "minf", `-\infty `, "#", ` \neq `, "<=", "<=",
		" and ", ` \text{ and } `, " or ", ` \text{ or } `, "{", `{`, "}", `}`).Replace(out)
	out = regexp.MustCompile(`\binf\b`).ReplaceAllString(out, `\infty `)
	if strings.HasPrefix(s, "{") { // a set, not a LaTeX group
		out = `\{` + out[1:len(out)-1] + `\}`
	}
	return out, true
}

// stack runs the algebraic equivalence and set tests; the other test types ask
// about the form of an expression, which is no question of equality.
func stack(path string) ([]*tally, error) {
	t := &tally{name: "stack AlgEquiv, Sets"}
	opt := mathverify.Options{StrictAssignment: true, GoldDigits: -1, PredDigits: -1, OrderedLists: true}
	err := lines(path, func(p pair) error {
		g, ok1 := maxima(p.Gold)
		x, ok2 := maxima(p.Pred)
		if p.Test != "AlgEquiv" && p.Test != "Sets" || !ok1 || !ok2 {
			t.skipped++
			return nil
		}
		start := time.Now()
		r := mathverify.Verify(g, x, opt)
		t.add(p.Expected, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, time.Since(start), func() string {
			return fmt.Sprintf("%q %q -> %q %q: %s %s [%s | %s] %s", p.Gold, p.Pred, g, x, r.Verdict, r.Reason, r.Gold, r.Pred, p.Note)
		})
		return nil
	})
	return []*tally{t}, err
}
