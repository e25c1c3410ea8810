package simulated

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

// A solution text comes from a data set, so it may be anything. These are 200 kB
// each and would take seconds each if the work grew with the square of their length.
func TestHostileSolutions(t *testing.T) {
	long := func(unit, end string) string { return strings.Repeat(unit, 200_000/len(unit)) + end }
	for name, s := range map[string]string{
		"a product":        long("999999999*", "9=1"),
		"a sum of 1/n":     long("1/9999991+1/9999973+", "1=1"),
		"signs":            long("-", "1=1"),
		"open boxes":       long(`\boxed{`, ""),
		"nested boxes":     long(`\boxed{`, long("}", "")),
		"boxes":            long(`\boxed{a}`, ""),
		"open annotations": long("<<", ""),
		"annotations":      long("<<a>>", ""),
		"equality signs":   long("=", ""),
		"equations":        long("1=", ""),
		"sentences":        long("1+1=2. ", ""),
	} {
		for _, style := range []string{"cot", "code"} {
			ask(t, sure(t, 0), llm.Hint{Task: "gsm8k", Style: style, Gold: "3", Solution: s}, "p", 0)
		}
		right := ask(t, sure(t, 1), llm.Hint{Task: "gsm8k", Style: "cot", Gold: "3", Solution: s}, "p", 0)
		if !strings.HasSuffix(right.Text, "The answer is 3.") {
			t.Errorf("%s: the right answer does not end in its statement", name)
		}
		judged := ask(t, sure(t, 1), llm.Hint{Kind: llm.HintJudge, Response: s}, "p", 0)
		if !strings.Contains(judged.Text, `"verdict"`) {
			t.Errorf("%s: no verdict: %q", name, judged.Text)
		}
	}
}

// Exact values grow with every operation, so only short expressions are computed.
func TestLongExpressionsAreRefused(t *testing.T) {
	for _, expr := range []string{strings.Repeat("9*", maxExpression) + "9", strings.Repeat("1/7+", maxExpression) + "1"} {
		if _, ok := eval(expr); ok {
			t.Errorf("an expression of %d bytes was computed", len(expr))
		}
	}
	if v, ok := eval(strings.Repeat("1+", maxExpression/2-1) + "1"); !ok || show(v) != "200" {
		t.Errorf("an expression below the limit gives %v, %v", v, ok)
	}
}

func TestUnbox(t *testing.T) {
	for in, want := range map[string]string{
		`no box {a}`:                        `no box {a}`,
		`so \boxed{7} it is`:                `so 7 it is`,
		`\boxed{\frac{1}{2}} and \boxed{3}`: `\frac{1}{2} and 3`,
		`\boxed{a \boxed{b} {c}}`:           `a b {c}`,
		`never \boxed{closed {x}`:           `never closed {x}`,
		`stray } \boxed{1}}`:                `stray } 1}`,
	} {
		if got := unbox(in); got != want {
			t.Errorf("unbox(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestShow(t *testing.T) {
	for expr, want := range map[string]string{"4/2": "2", "1/3": "0.33", "1/2": "0.5", "1/1000": "0", "0-1/1000": "0", "5/2*10": "25", "200/2": "100"} {
		v, ok := eval(expr)
		if !ok || show(v) != want {
			t.Errorf("show(%s) = %q, want %q", expr, show(v), want)
		}
	}
}

func TestOffByText(t *testing.T) {
	for in, want := range map[string][]string{
		`\frac{3}{4}`:           {`\frac{3}{5}`, `\frac{3}{6}`, `\frac{3}{7}`},
		`12/25/1937`:            {`12/25/1938`, `12/25/1939`, `12/25/1940`},
		`07:08`:                 {`07:09`, `07:10`, `07:11`},
		`86\mbox{ inches}^{2}`:  {`87\mbox{ inches}^{2}`, `88\mbox{ inches}^{2}`, `89\mbox{ inches}^{2}`},
		`2x^2`:                  {`3x^2`, `4x^2`, `5x^2`},
		`x^2`:                   {`x^3`, `x^4`, `x^5`},
		`11_{2}`:                {`-11_{2}`},
		`p+q-r`:                 {`-p+q-r`},
		`-x`:                    {`x`},
		`\pi`:                   {`-\pi`},
		`linear`:                {`not linear`},
		`123456789123456789012`: {`123456789123456789013`, `123456789123456789014`, `123456789123456789015`},
	} {
		for seed := range uint64(20) {
			if got := offByText(in, rand.New(rand.NewPCG(seed, 0))); !slices.Contains(want, got) {
				t.Errorf("offByText(%q) = %q, want one of %q", in, got, want)
			}
		}
	}
}
