package simulated

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// problem is what the teacher works on: the steps it will write, the answer it will state,
// and a rival answer to argue against.
type problem struct {
	steps  []step
	answer string
	rival  string // another possible answer, in the task's own form
	gold   string
	task   string
	label  bool // the answer is the label of a choice
	// says turns an answer into a claim ("apples fits", "the facts agree").
	says func(answer string) string
}

// newProblem reads the hint. Its answer is the gold answer until goWrong is called.
func newProblem(h llm.Hint, rng *rand.Rand) *problem {
	p := &problem{gold: strings.TrimSpace(h.Gold), task: h.Task}
	if p.gold == "" {
		p.gold = strconv.Itoa(2 + rng.IntN(40))
	}
	p.answer = p.gold
	p.steps = parseSteps(h.Solution)
	p.says = func(a string) string { return "it comes to " + a }
	low := strings.ToLower(p.gold)
	switch {
	case len(h.Choices) > 0:
		p.choose(h.Choices, rng)
	case len(h.Wrong) > 0:
		p.rival = h.Wrong[rng.IntN(len(h.Wrong))]
	case p.oneOf(low, rng, "yes", "no"):
		p.says = func(a string) string {
			if strings.EqualFold(a, "yes") {
				return "the facts agree"
			}
			return "the facts disagree"
		}
	case p.oneOf(low, rng, "true", "false", "neither"), p.oneOf(low, rng, "entailment", "contradiction", "neutral"):
		p.says = func(a string) string {
			switch strings.ToLower(a) {
			case "true", "entailment":
				return "the text says so"
			case "false", "contradiction":
				return "the text says no"
			}
			return "the text does not say"
		}
	default:
		if _, ok := number(p.gold); ok {
			p.rival = offBy(p.gold, rng)
		} else {
			p.rival = offByText(p.gold, rng)
		}
	}
	if len(p.steps) == 0 {
		p.steps = []step{{text: p.says(p.answer)}}
	}
	return p
}

// statement is the sentence that states the answer, in the form that the prompts of the
// task ask for.
func (p *problem) statement() string {
	a := p.answer
	switch {
	case p.label:
		a = "(" + a + ")"
	case p.task == "math":
		a = `\boxed{` + a + "}"
	}
	return "The answer is " + a + "."
}

// choose handles multiple choice, with the gold given as a label or as a text.
func (p *problem) choose(choices []llm.Choice, rng *rand.Rand) {
	byLabel := map[string]string{}
	for _, c := range choices {
		byLabel[c.Label] = c.Text
		p.label = p.label || strings.EqualFold(c.Label, p.gold)
	}
	form := func(c llm.Choice) string {
		if p.label {
			return c.Label
		}
		return c.Text
	}
	var right string // its text: data sets repeat a text under two labels, and both are right
	for _, c := range choices {
		if strings.EqualFold(form(c), p.gold) {
			right = strings.TrimSpace(c.Text)
		}
	}
	var others []string
	for _, c := range choices {
		if a := form(c); !strings.EqualFold(a, p.gold) && (right == "" || !strings.EqualFold(strings.TrimSpace(c.Text), right)) {
			others = append(others, a)
		}
	}
	p.rival = p.gold
	if len(others) > 0 {
		p.rival = others[rng.IntN(len(others))]
	}
	p.says = func(a string) string {
		if t, ok := byLabel[a]; ok && p.label {
			return t + " fits"
		}
		return a + " fits"
	}
}

// oneOf recognises a closed set of answers and picks the rival from it, in the case of
// the gold answer.
func (p *problem) oneOf(low string, rng *rand.Rand, set ...string) bool {
	var others []string
	for _, s := range set {
		if s != low {
			others = append(others, s)
		}
	}
	if len(others) == len(set) || p.task == "anli" && len(set) == 2 {
		return false
	}
	p.rival = others[rng.IntN(len(others))]
	if p.gold[0] >= 'A' && p.gold[0] <= 'Z' {
		p.rival = strings.ToUpper(p.rival[:1]) + p.rival[1:]
	}
	return true
}

// goWrong makes the reasoning lead to a wrong answer.
func (p *problem) goWrong(rng *rand.Rand) {
	goldValue, numeric := number(p.gold)
	if numeric {
		var before string
		for _, s := range p.steps {
			if s.lhs != "" {
				before = s.rhs
			}
		}
		last := slip(p.steps, rng)
		if v, ok := number(before); ok && v.Cmp(goldValue) == 0 && last != "" {
			p.rival, p.answer = p.answer, last
			return
		}
	}
	wrong, right := p.rival, p.answer
	p.answer, p.rival = wrong, right
	argued := false
	for i := range p.steps {
		s := &p.steps[i]
		if s.lhs != "" {
			continue
		}
		for _, pair := range [][2]string{{p.says(right), p.says(wrong)}, {right, wrong}} {
			if t := replaceWord(s.text, pair[0], pair[1]); t != s.text {
				s.text, argued = t, true
				break
			}
		}
	}
	if !argued {
		p.steps = append(p.steps, step{text: p.says(wrong)})
	}
}

// replaceWord replaces old where no letter or digit touches it. Single letters are left
// alone: in prose an A is rarely a choice.
func replaceWord(s, old, with string) string {
	if len(old) < 2 && strings.Trim(old, "0123456789") != "" || old == "" {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, old)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := i + len(old)
		touches := i > 0 && isAlnum(rune(s[i-1])) || end < len(s) && isAlnum(rune(s[end]))
		b.WriteString(s[:i])
		if touches {
			b.WriteString(old)
		} else {
			b.WriteString(with)
		}
		s = s[end:]
	}
}

// offBy moves a number by one to three: the size of a slip, and inside the number range
// that small students know. It never turns a number of things negative.
func offBy(s string, rng *rand.Rand) string {
	v, ok := number(s)
	if !ok {
		return offByText(s, rng)
	}
	d := big.NewRat(int64(1+rng.IntN(3)), 1)
	if rng.IntN(2) == 0 && (v.Sign() < 0 || v.Cmp(d) > 0) {
		d.Neg(d)
	}
	out := show(new(big.Rat).Add(v, d))
	if strings.HasSuffix(strings.TrimSpace(s), "%") {
		// number reads 12% as 0.12; stay in the writer's own unit.
		return offBy(strings.TrimRight(strings.TrimSpace(s), "%"), rng) + "%"
	}
	return out
}

// offByText changes the last number inside an answer such as \frac{3}{4} or 12/25/1937.
// Exponents are left alone where there is another number, because that of a unit does not
// count. An answer without a number, and one in another base, whose digits are limited,
// gets its sign or its sense turned.
func offByText(s string, rng *rand.Rand) string {
	start, end := lastNumber(s)
	if end == 0 || strings.Contains(s, "_") {
		positive, negative := strings.CutPrefix(s, "-")
		switch {
		case negative:
			return positive
		case strings.ContainsAny(s, `\^_$+-*/=`) || len(s) <= 2:
			return "-" + s
		}
		return "not " + s
	}
	n, err := strconv.Atoi(s[start:end])
	if err != nil {
		return "-" + s
	}
	out := strconv.Itoa(n + 1 + rng.IntN(3))
	for len(out) < end-start {
		out = "0" + out
	}
	return s[:start] + out + s[end:]
}

// lastNumber finds the last run of digits, preferably one that is no exponent; the last
// nine digits of a longer one. end is 0 if s has no digit.
func lastNumber(s string) (start, end int) {
	for e := len(s); e > 0; {
		e = strings.LastIndexAny(s[:e], "0123456789") + 1
		if e == 0 {
			break
		}
		b := e
		for b > 0 && s[b-1] >= '0' && s[b-1] <= '9' {
			b--
		}
		at := max(b, e-9)
		if end == 0 {
			start, end = at, e
		}
		if !strings.HasSuffix(strings.TrimRight(s[:b], "{- "), "^") {
			return at, e
		}
		e = b
	}
	return start, end
}
