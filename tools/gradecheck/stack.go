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
	"matrix": rows, "diff": func(a []string) (string, bool) {
		if len(a) == 3 && a[2] == "2" {
			return form(2, `\frac{d}{d$2}(\frac{d}{d$2}($1))`)(a[:2])
		}
		return form(2, `\frac{d}{d$2}($1)`)(a)
	}, "sum": form(4, `\sum_{$2=$3}^{$4}($1)`),
	"product": form(4, `\prod_{$2=$3}^{$4}($1)`), "binomial": form(2, `\binom{$1}{$2}`), "signum": form(1, `\sgn($1)`),
	"exp": form(1, "e^{$1}"), "polarform": form(1, "$1"), "rectform": form(1, "$1"), "expand": form(1, "$1"),
	"asinh": form(1, `\operatorname{arcsinh}($1)`), "abs": form(1, "|$1|"), "scientific_notation": form(2, "$1"),
	"displaysci": form(3, `$1 \cdot 10^{$3}`), "stackunits": form(2, "(($1)*($2))"), "stackeq": form(1, "$1"),
	"ev": func(a []string) (string, bool) { return a[0], len(a) == 2 && a[1] == "simp" }, "radcan": form(1, "$1"),
	"ratsimp": form(1, "$1"), "trigrat": form(1, "$1"), "logcontract": form(1, "$1"), "trigeval": form(1, "$1"),
	"int": form(4, `\int_{$3}^{$4} ($1) d$2`),
}

// unsupported lists what has no counterpart in answers, by reason.
var unsupported = []struct {
	reason string
	match  *regexp.Regexp
}{
	{"predicate or boolean value", regexp.MustCompile(`integerp|termsp|predicate|numberp|exponentialp|\btrue\b.*\b(or|and|nounand)\b|^(true|false)$`)},
	{"propositional logic", regexp.MustCompile(`implies|xnor|xor|\bnot\b|boolean|\b[ABC] (and|or)|\b(and|or) [ABC]\b`)},
	{"assumption or evaluation flag", regexp.MustCompile(`assume|declare|algebraic|map\(|subst|taylor|ratsimp\(.*:|radexpand|integer\)`)},
	{"rounding and display", regexp.MustCompile(`significantfigures|round\(|disp_|NULLNUM|stack_units|num_ensure|remove_|display[dn]|dispdp`)},
	{"definition of a function", regexp.MustCompile(`:`)},
	{"inert derivative or integral", regexp.MustCompile(`noun(diff|int|add|mul|pow)|'(diff|int|sum)|stack_`)},
	{"function without a counterpart", regexp.MustCompile(`rationalized|exdowncase|make_less`)},
	{"list inside an operator", regexp.MustCompile(`\]\*|binomial\([^()]*\[|\),\[`)},
}

// equalityTests are the kinds of test that ask for equality alone. Those of
// formTests also ask for a form, so that only their accepted pairs, which must
// be equal as well, say something about equality.
var (
	equalityTests = map[string]bool{"AlgEquiv": true, "Sets": true}
	formTests     = map[string]bool{"EqualComAss": true, "EqualComAssRules": true, "CasEqual": true, "FacForm": true,
		"PartFrac": true, "SingleFrac": true, "CompSquare": true, "Expanded": true, "AlgEquivNouns": true}
)

var (
	subscript = regexp.MustCompile(`([A-Za-z]+)\[(\w+)\]`)
	infWord   = regexp.MustCompile(`\binf\b`)
	allWord   = regexp.MustCompile(`^all$`)
	noneWord  = regexp.MustCompile(`^none$`)
)

// maxima translates an expression; reason says why there is no counterpart.
func maxima(s string) (out, reason string) {
	for _, u := range unsupported {
		if u.match.MatchString(s) {
			return "", u.reason
		}
	}
	if n := len(s); n > 1 && s[0] == '"' && s[n-1] == '"' {
		return `\text{` + s[1:n-1] + "}", ""
	}
	out, ok := rewriteCalls(strings.ReplaceAll(s, "'root(", "root("), maximaRules)
	if !ok {
		return "", "function without a counterpart"
	}
	out = subscript.ReplaceAllString(out, `${1}_{$2}`)
	out = strings.NewReplacer("%pi", `\pi `, "%i", " i ", "%e", " e ", "minf", `-\infty `, "#pm#", ` \pm `, "#", ` \neq `,
		" and ", ` \text{ and } `, " or ", ` \text{ or } `, " nounand ", ` \text{ and } `, " nounor ", ` \text{ or } `).Replace(out)
	out = infWord.ReplaceAllString(out, `\infty `)
	out = allWord.ReplaceAllString(out, `\mathbb{R}`)
	out = noneWord.ReplaceAllString(out, `\emptyset`)
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") { // a set, not a LaTeX group
		out = `\{` + out[1:len(out)-1] + `\}`
	}
	return out, ""
}

// stack runs the tests of equality, and of the tests of form the accepted pairs.
func stack(path string) ([]*score, error) {
	t, f := &score{name: "stack AlgEquiv, Sets"}, &score{name: "stack form tests, accepted"}
	opt := mathverify.Options{StrictAssignment: true, GoldDigits: -1, PredDigits: -1, OrderedLists: true}
	err := lines(path, func(p pair) error {
		to := t
		switch {
		case equalityTests[p.Test]:
		case !formTests[p.Test]:
			t.skip(p.Test + ": asks for digits, units, names or steps")
			return nil
		case !p.Expected:
			t.skip("rejected for its form")
			return nil
		default:
			to = f
		}
		g, why := maxima(p.Gold)
		x, why2 := maxima(p.Pred)
		if why+why2 != "" {
			if why == "" {
				why = why2
			}
			to.skip(why)
			return nil
		}
		start := time.Now()
		r := mathverify.Verify(g, x, opt)
		to.add(p.Expected, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, time.Since(start), func() string {
			return fmt.Sprintf("%q %q -> %q %q: %s %s [%s | %s] %s", p.Gold, p.Pred, g, x, r.Verdict, r.Reason, r.Gold, r.Pred, p.Note)
		})
		return nil
	})
	return []*score{t, f}, err
}
