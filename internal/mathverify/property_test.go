package mathverify

import (
	"fmt"
	"math/big"
	"math/rand"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// randomExpr writes a random expression in LaTeX.
func randomExpr(r *rand.Rand, depth int, symbols bool) string {
	if depth == 0 || r.Intn(5) == 0 {
		switch k := r.Intn(8); {
		case k == 0:
			return `\pi`
		case k == 1 && symbols:
			return string(rune('x' + r.Intn(3)))
		case k == 2:
			return fmt.Sprintf("%d.%d", r.Intn(9), 1+r.Intn(98))
		case k == 3:
			return fmt.Sprintf(`\sqrt{%d}`, 2+r.Intn(40))
		}
		return fmt.Sprint(1 + r.Intn(30))
	}
	a, b := randomExpr(r, depth-1, symbols), randomExpr(r, depth-1, symbols)
	switch r.Intn(7) {
	case 0:
		return a + " + " + b
	case 1:
		return a + " - (" + b + ")"
	case 2:
		return "(" + a + ")(" + b + ")"
	case 3:
		return `\frac{` + a + "}{" + b + "}"
	case 4:
		return "(" + a + ")^{2}"
	case 5:
		return `\cos(` + a + ")"
	}
	return "(" + a + `) \cdot (` + b + ")"
}

// inBraces finds numbers and parenthesised groups without inner brackets.
var inBraces = regexp.MustCompile(`\d+\.\d+|\([^()\\{}]*\)`)

func TestReflexiveAndInvariant(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for i := 0; i < 300; i++ {
		s := randomExpr(r, 3, i%2 == 0)
		forms := []string{
			s, " " + s + " ", "$" + s + "$", `\boxed{` + s + "}", "{" + s + "}",
			strings.NewReplacer("(", `\left(`, ")", `\right)`).Replace(s),
			strings.ReplaceAll(s, " ", `\! `), strings.ReplaceAll(s, " ", ""), strings.ReplaceAll(s, " ", " \n  "),
			inBraces.ReplaceAllString(s, "{$0}"), strings.ReplaceAll(s, `\frac`, `\dfrac`), "1 \\cdot (" + s + ")",
		}
		for _, f := range forms {
			for _, pair := range [][2]string{{s, f}, {f, s}} {
				if res := Verify(pair[0], pair[1], Options{}); res.Verdict != Equal {
					// A value may be undefined by chance (a zero divisor).
					if res.Verdict == Unknown && strings.Contains(res.Reason, "no value") {
						continue
					}
					t.Errorf("Verify(%q, %q) = %v: %s", pair[0], pair[1], res.Verdict, res.Reason)
				}
			}
		}
	}
}

func TestNumberDiffersFromNumberPlusSmall(t *testing.T) {
	r := rand.New(rand.NewSource(8))
	for i := 0; i < 300; i++ {
		s := randomExpr(r, 2, false)
		k := 3 + r.Intn(120)
		g := "(" + s + `) + \frac{1}{` + "1" + strings.Repeat("0", k) + "}"
		if res := Verify(s, g, Options{GoldDigits: -1, PredDigits: -1}); res.Verdict == Equal {
			t.Errorf("Verify(%q, %q) is equal: %s", s, g, res.Reason)
		}
	}
}

// TestCorpusNumberDiffersFromItselfPlusSmall: the same for every closed
// expression of the corpus that has a value.
func TestCorpusNumberDiffersFromItselfPlusSmall(t *testing.T) {
	opt := Options{GoldDigits: -1, PredDigits: -1}
	seen, tried := map[string]bool{}, 0
	for _, c := range corpus(t) {
		n, err := Parse(c.gold)
		if err != nil || seen[c.gold] || !scalarKind(n) || symbolic(n) || n.has(KUnit) || n.has(KPercent) || n.has(KDegree) || n.has(KBase) || n.has(KPM) || hasInfinity(n) {
			continue
		}
		seen[c.gold] = true
		for _, k := range []int{1, 40} {
			more := node(KAdd, n, ratNode(new(big.Rat).SetFrac(big.NewInt(1), pow10(k))))
			if r := (&comparer{opt: opt, b: newBudget(opt)}).compare(n, more); r.Verdict == Equal {
				t.Errorf("%q equals itself plus 10^-%d: %s", c.gold, k, r.Reason)
			}
			tried++
		}
	}
	if tried < 200 {
		t.Errorf("only %d comparisons", tried)
	}
}

func TestSymmetric(t *testing.T) {
	// Percent, bases and approximation are directed policies; without them the
	// verdict must not depend on the order.
	opt := Options{Percent: PercentStrict, StrictBase: true, GoldDigits: -1, PredDigits: -1}
	for _, c := range corpus(t) {
		if comma(c.gold, c.pred) || comma(c.pred, c.gold) {
			continue // a decimal comma is read in predictions only
		}
		a, b := Verify(c.gold, c.pred, opt), Verify(c.pred, c.gold, opt)
		if a.Verdict != b.Verdict {
			t.Errorf("%q and %q: %v one way, %v the other", c.gold, c.pred, a, b)
		}
	}
}

func comma(gold, pred string) bool {
	g, err1 := Parse(gold)
	p, err2 := Parse(pred)
	return err1 == nil && err2 == nil && len(decimalComma(g, []*Node{p}, pred)) > 1
}

// TestBounded feeds expressions that would take years, or all memory, to compute.
// Without a budget the test does not end.
func TestBounded(t *testing.T) {
	hard := []string{
		`10^{10^{10}}`, `((((9!)!)!)!)!`, `2^{2^{2^{2^{2^{2}}}}}`, `\binom{10^9}{5\cdot 10^8}`, `\sum_{k=1}^{10^9} k`,
		`e^{e^{e^{e^{e}}}}`, `\sin(10^{10^{10}})`, `(1+x)^{10^6}`, `\prod_{k=1}^{19999} k!`, `1e999999999`, `0.1^{10^9}`,
		strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500), strings.Repeat("x^", 400) + "2", strings.Repeat(`\frac{1}{1+`, 100) + "1" + strings.Repeat("}", 100),
		strings.Repeat(`\sqrt{2+`, 90) + "1" + strings.Repeat("}", 90), strings.Repeat("1+", 8000) + "1", strings.Repeat("9", 60000),
		`\lfloor 10^{10^{9}} \rfloor`, `\gcd(10^{40000}, 3^{50000})`, strings.Repeat("|", 999), strings.Repeat("x_", 999), strings.Repeat("{", 70000),
		`\sum_{i=1}^{100} \sum_{j=1}^{100} \sum_{k=1}^{100} i j k`, `(x+y+z)^{500}=0`, `x^{100}=1`,
		`\log_{1.0001}(2)`, `\log_{1.0001}(10^{1000})`, strings.Repeat(`\begin{pmatrix}1&1\\1&1\end{pmatrix}`, 30),
		strings.Repeat("five (", 90) + "5" + strings.Repeat(")", 90), `\sum_{k=1}^{19000} \frac{1}{k^{20}}`, strings.Repeat("sinx+cosy+", 3000) + "1",
		`\infty - \infty`, `6 - \frac{100}{-\infty}`, `\frac{5^{5^{5^{5^5}}-4}-5}{16}^{8}`,
		`(\frac{5^{5^{5^{5^5}}-4}-5}{16})^{8}`, `\sqrt{\sqrt{i^{72238}}}`, strings.Repeat(`\frac12`, 2000), strings.Repeat("1e900+", 1000) + "1",
	}
	for _, s := range hard {
		for _, p := range []string{"1", s + "+1", "x", s + "=0"} {
			verify(s, p, Options{}) // without the guard of Verify
		}
	}
}

func TestConcurrentAndDeterministic(t *testing.T) {
	var all []corpusPair
	for i, c := range corpus(t) {
		if i%3 == 0 { // a third of the corpus keeps the test short
			all = append(all, c)
		}
	}
	want := make([]Result, len(all))
	for i, c := range all {
		want[i] = Verify(c.gold, c.pred, Options{})
	}
	var wg sync.WaitGroup
	for w := 0; w < 4; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i, c := range all {
				if got := Verify(c.gold, c.pred, Options{}); got != want[i] {
					t.Errorf("%q: %v, then %v", c.gold, want[i], got)
				}
			}
		}()
	}
	wg.Wait()
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		gold, pred string
		opt        Options
		want       Verdict
	}{
		{"1, 2", "2, 1", Options{OrderedLists: true}, Different},
		{"28\\%", "28", Options{Percent: PercentStrict}, Different},
		{"28\\%", "0.28", Options{Percent: PercentStrict}, Equal},
		{"5 cm", "5", Options{Units: UnitsStrict}, Different},
		{"5 cm", "5 m", Options{Units: UnitsIgnore}, Equal},
		{"5", "x = 5", Options{StrictAssignment: true}, Different},
		{"52_8", "52", Options{StrictBase: true}, Different},
		{"33.3", "100/3", Options{}, Equal},
		{"33.3", "100/3", Options{GoldDigits: 4}, Different},
		{"100", "99", Options{Tolerance: 0.01}, Equal},
		{"100", "98.9", Options{Tolerance: 0.01}, Different},
		{"0", "0.1", Options{Tolerance: 0.01}, Different},
		{"1 m", "100.5 cm", Options{Tolerance: 0.01}, Equal},
		{"1 m", "1.001 kg", Options{Tolerance: 0.01}, Different},
		{"33.3", "100/3", Options{GoldDigits: -1}, Different},
		{"\\sqrt{3}", "1.73", Options{PredDigits: 3}, Equal},
		{"\\sqrt{3}", "1.732", Options{PredDigits: -1}, Different},
		{"\\gcd(a, b)", "1", Options{}, Different},
		{"5", "$5", Options{Units: UnitsStrict}, Equal},
		{"5", "5 dollars", Options{Units: UnitsStrict}, Different},
		{"7", "7!", Options{}, Equal}, // the mark that ends a sentence
		{"7!", "7", Options{}, Different},
		{"2^{100000}", "2^{100000}+1", Options{Steps: 5}, Unknown},
	} {
		if r := Verify(c.gold, c.pred, c.opt); r.Verdict != c.want {
			t.Errorf("Verify(%q, %q, %+v) = %v (%s), want %v", c.gold, c.pred, c.opt, r.Verdict, r.Reason, c.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.gold, c.pred)
	}
	f.Fuzz(func(t *testing.T, g, p string) {
		if len(g)+len(p) > 2000 {
			return
		}
		opt := Options{Steps: 20000, Bits: 1 << 14}
		// verify is Verify without its guard, so that a panic is seen.
		r := verify(g, p, opt)
		if s := verify(g, p, opt); s != r {
			t.Fatalf("two results: %v and %v", r, s)
		}
	})
}

// FuzzTokens checks the tokenizer alone: it ends, invents no text and gives
// number tokens that the number parser takes.
func FuzzTokens(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.gold)
		f.Add(c.pred)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 4000 {
			return
		}
		toks, _ := lex(s)
		if len(toks) > 4*len(s)+4 {
			t.Fatalf("%d tokens from %d bytes", len(toks), len(s))
		}
		for _, k := range toks {
			if k.kind == tEOF || k.text == "" && k.kind != tText {
				t.Fatalf("empty token in %q: %v", s, toks)
			}
			if k.kind == tNum {
				if _, err := parseNumber(k.text); err != nil {
					t.Fatalf("number token %q of %q: %v", k.text, s, err)
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.gold)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if (n == nil) == (err == nil) {
			t.Fatalf("Parse(%q) = %v, %v", s, n, err)
		}
	})
}

func BenchmarkVerifyCorpus(b *testing.B) {
	all := corpus(b)
	for i := 0; b.Loop(); i++ {
		c := all[i%len(all)]
		Verify(c.gold, c.pred, Options{})
	}
}
