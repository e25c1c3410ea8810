package main

import (
	"regexp"
	"strings"
)

var sympyRules = map[string]func([]string) (string, bool){
	"Abs": form(1, "|$1|"), "Max": named("max"), "Min": named("min"), "ceiling": form(1, `\lceil $1 \rceil`),
	"floor": form(1, `\lfloor $1 \rfloor`), "factorial": form(1, "($1)!"), "binomial": form(2, `\binom{$1}{$2}`),
	"Mod": form(2, `(($1) \bmod ($2))`), "asin": form(1, `\arcsin($1)`), "acos": form(1, `\arccos($1)`),
	"atan": form(1, `\arctan($1)`), "acosh": form(1, `\operatorname{arccosh}($1)`), "asinh": form(1, `\operatorname{arcsinh}($1)`),
	"atanh": form(1, `\operatorname{arctanh}($1)`),
	"log": func(a []string) (string, bool) {
		if len(a) == 2 && a[1] == "E" || len(a) == 1 {
			return `\ln(` + a[0] + ")", true
		}
		return form(2, `\log_{$2}($1)`)(a)
	},
	"Sum": bounded(`\sum`), "Product": bounded(`\prod`),
	"Integral": func(a []string) (string, bool) {
		if len(a) != 2 || !strings.HasPrefix(a[1], "(") {
			return "", false
		}
		b := splitArgs(a[1][1 : len(a[1])-1])
		if len(b) != 3 {
			return "", false
		}
		return `\int_{` + b[1] + "}^{" + b[2] + "} (" + a[0] + ") d" + b[0], true
	},
	"Derivative": form(2, `\frac{d}{d$2}($1)`), "Limit": refuse, "Not": refuse,
	"Matrix": func(a []string) (string, bool) {
		if len(a) != 1 || !strings.HasPrefix(a[0], "[") {
			return "", false
		}
		return rows(splitArgs(a[0][1 : len(a[0])-1]))
	},
	"Interval": form(2, "[$1,$2]"), "Interval.open": form(2, "($1,$2)"),
	"Eq": form(2, "$1 = $2"), "Complement": form(2, `$1 \setminus $2`),
	"Union":        func(a []string) (string, bool) { return "(" + strings.Join(a, ` \cup `) + ")", true },
	"Intersection": func(a []string) (string, bool) { return "(" + strings.Join(a, ` \cap `) + ")", true },
}

func named(f string) func([]string) (string, bool) {
	return func(a []string) (string, bool) { return `\` + f + "(" + strings.Join(a, ", ") + ")", true }
}

// bounded translates Sum(body, (k, a, b)).
func bounded(op string) func([]string) (string, bool) {
	return func(a []string) (string, bool) {
		if len(a) != 2 || !strings.HasPrefix(a[1], "(") {
			return "", false
		}
		b := splitArgs(a[1][1 : len(a[1])-1])
		if len(b) != 3 {
			return "", false
		}
		return op + "_{" + b[0] + "=" + b[1] + "}^{" + b[2] + "} (" + a[0] + ")", true
	}
}

var sympySkip = regexp.MustCompile(`\\|evaluate|Symbol|True|False|~|\bElementOf|bar\{|\n|beta 10`)

// sympy translates SymPy's printed form of an expression to LaTeX.
func sympy(s string) (string, bool) {
	if s == "" || sympySkip.MatchString(s) {
		return "", false
	}
	out, ok := rewriteCalls(s, sympyRules)
	if !ok {
		return "", false
	}
	out = regexp.MustCompile(`\boo\b`).ReplaceAllString(out, `\infty `)
	out = regexp.MustCompile(`\bI\b`).ReplaceAllString(out, "i")
	out = regexp.MustCompile(`\bE\b`).ReplaceAllString(out, "e")
	out = strings.NewReplacer("EmptySet", `\emptyset`, "Naturals", `\mathbb{N}`, "Rationals", `\mathbb{Q}`,
		"Complexes", `\mathbb{C}`, "**", "^").Replace(out)
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		out = `\{` + out[1:len(out)-1] + `\}`
	}
	return out, true
}
