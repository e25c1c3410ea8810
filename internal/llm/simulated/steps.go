package simulated

import (
	"math/rand/v2"
	"strings"
)

// maxSteps bounds how much of a long solution the teacher repeats.
const maxSteps = 8

// step is one line of reasoning: an equation with both sides, or a sentence.
type step struct {
	lhs, rhs string // equation; both empty for a sentence
	text     string // sentence
}

func (s step) String() string {
	if s.lhs == "" {
		return s.text
	}
	return s.lhs + " = " + s.rhs
}

// parseSteps reads a worked solution. It understands three layouts: sentences that are
// equations ("4 + 3 = 7. 7 * 2 = 14. #### 14"), prose with calculator annotations
// ("<<4+3=7>>"), of which it keeps the annotations, and plain prose.
func parseSteps(solution string) []step {
	body, _, _ := strings.Cut(solution, "####")
	if strings.Contains(body, "<<") {
		if s := annotations(body); len(s) > 0 {
			return s
		}
		body = stripAnnotations(body)
	}
	var steps []step
	for _, sentence := range sentences(body) {
		if lhs, rhs, ok := equation(sentence); ok {
			steps = append(steps, step{lhs: lhs, rhs: rhs})
		} else {
			steps = append(steps, step{text: unbox(sentence)})
		}
	}
	if len(steps) > maxSteps {
		steps = steps[len(steps)-maxSteps:] // the end leads to the answer
	}
	return steps
}

func annotations(s string) []step {
	var steps []step
	for {
		_, rest, ok := strings.Cut(s, "<<")
		if !ok {
			break
		}
		inside, after, ok := strings.Cut(rest, ">>")
		if !ok {
			break
		}
		s = after
		i := strings.LastIndexByte(inside, '=')
		if i <= 0 {
			continue
		}
		if lhs, rhs, ok := equation(inside[:i] + "=" + inside[i+1:]); ok {
			steps = append(steps, step{lhs: lhs, rhs: rhs})
		}
	}
	if len(steps) > maxSteps {
		steps = steps[len(steps)-maxSteps:]
	}
	return steps
}

func stripAnnotations(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "<<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, after, ok := strings.Cut(rest, ">>")
		if !ok {
			return b.String()
		}
		s = after
	}
}

// equation accepts "expression = number" where the expression can be evaluated, and
// returns the expression with one space around each operator.
func equation(s string) (lhs, rhs string, ok bool) {
	l, r, found := strings.Cut(s, "=")
	if !found {
		return "", "", false
	}
	if _, ok := eval(l); !ok || strings.Trim(l, " 0123456789.,$") == "" {
		return "", "", false
	}
	v, ok := number(r)
	if !ok {
		return "", "", false
	}
	return spaced(normalise(l)), show(v), true
}

// spaced puts spaces around binary operators.
func spaced(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		binary := strings.IndexByte("+-*/", c) >= 0 && i > 0 && strings.IndexByte("+-*/(", s[i-1]) < 0
		if binary {
			b.WriteByte(' ')
		}
		b.WriteByte(c)
		if binary {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// sentences splits at line ends and at full stops that a space follows; a point inside a
// number is none.
func sentences(s string) []string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		for part := range strings.SplitSeq(line, ". ") {
			part = strings.TrimRight(strings.TrimSpace(part), ".")
			if part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// unbox replaces \boxed{x} by x: a boxed result in the middle of the reasoning would be a
// second statement of the answer. A box that is never closed loses its beginning only.
func unbox(s string) string {
	const opening = `\boxed{`
	if !strings.Contains(s, opening) {
		return s
	}
	var b strings.Builder
	var isBox []bool // of each brace that is open
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], opening):
			isBox = append(isBox, true)
			i += len(opening) - 1
			continue
		case s[i] == '{':
			isBox = append(isBox, false)
		case s[i] == '}' && len(isBox) > 0:
			box := isBox[len(isBox)-1]
			isBox = isBox[:len(isBox)-1]
			if box {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// slip makes the equations among steps go wrong at one place and carries the wrong value
// through the rest. It returns the last value, or "" if there is no equation.
func slip(steps []step, rng *rand.Rand) (last string) {
	var eqs []int
	for i, s := range steps {
		if s.lhs != "" {
			eqs = append(eqs, i)
		}
	}
	if len(eqs) == 0 {
		return ""
	}
	at := eqs[rng.IntN(len(eqs))]
	end := eqs[len(eqs)-1]
	truth := steps[end].rhs
	was := steps[at].rhs
	steps[at] = spoil(steps[at], rng)
	changed := map[string]string{was: steps[at].rhs}
	for i := at + 1; i < len(steps); i++ {
		s := &steps[i]
		if s.lhs == "" {
			s.text = substitute(s.text, changed)
			continue
		}
		lhs := substitute(s.lhs, changed)
		if lhs == s.lhs {
			continue
		}
		if v, ok := eval(lhs); ok {
			changed[s.rhs] = show(v)
			s.lhs, s.rhs = lhs, show(v)
		}
	}
	if steps[end].rhs == truth {
		// The wrong value was not used again, or cancelled out.
		steps[end].rhs = offBy(truth, rng)
	}
	return steps[end].rhs
}

// spoil gives one equation a wrong result: mostly a slip in the arithmetic, sometimes the
// wrong operation carried out correctly.
func spoil(s step, rng *rand.Rand) step {
	if f := strings.Fields(s.lhs); len(f) == 3 && rng.IntN(3) == 0 {
		if swapped, ok := otherOperation(f); ok {
			if v, ok := eval(swapped); ok && v.IsInt() && v.Sign() >= 0 && show(v) != s.rhs {
				return step{lhs: swapped, rhs: show(v)}
			}
		}
	}
	s.rhs = offBy(s.rhs, rng)
	return s
}

func otherOperation(f []string) (string, bool) {
	other := map[string]string{"+": "-", "-": "+", "*": "+", "/": "-"}[f[1]]
	return f[0] + " " + other + " " + f[2], other != ""
}

// substitute replaces whole numbers in a text.
func substitute(s string, with map[string]string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && (s[j] >= '0' && s[j] <= '9' || s[j] == '.' && j > i && j+1 < len(s) && s[j+1] >= '0' && s[j+1] <= '9') {
			j++
		}
		if j == i {
			b.WriteByte(s[i])
			i++
			continue
		}
		tok := s[i:j]
		if w, ok := with[tok]; ok {
			tok = w
		}
		b.WriteString(tok)
		i = j
	}
	return b.String()
}
