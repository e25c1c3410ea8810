package simulated

import (
	"math/big"
	"strings"
)

// maxDigits bounds the numbers the evaluator takes, so that a hostile solution text
// cannot make it work for long.
const maxDigits = 18

// maxExpression bounds the length of an expression, in bytes: exact values grow with each
// operation, so the time would grow with the square of it. Solutions of the known data sets
// stay under 100.
const maxExpression = 400

// eval computes an expression of decimal numbers, + - * / and brackets exactly. It accepts
// x, × and ÷, dollar signs and thousands commas, as solution texts write them. ok is false
// for anything else and for a division by zero.
func eval(expr string) (v *big.Rat, ok bool) {
	if len(expr) > maxExpression {
		return nil, false
	}
	p := evaluator{s: normalise(expr)}
	v, ok = p.sum(0)
	return v, ok && p.i == len(p.s)
}

var plainOperators = strings.NewReplacer(" ", "", "$", "", ",", "", "×", "*", "÷", "/", "−", "-", "x", "*", "X", "*")

func normalise(s string) string { return plainOperators.Replace(s) }

type evaluator struct {
	s string
	i int
}

func (e *evaluator) peek() byte {
	if e.i < len(e.s) {
		return e.s[e.i]
	}
	return 0
}

func (e *evaluator) sum(depth int) (*big.Rat, bool) {
	v, ok := e.product(depth)
	for ok && (e.peek() == '+' || e.peek() == '-') {
		op := e.s[e.i]
		e.i++
		w, good := e.product(depth)
		if !good {
			return nil, false
		}
		if op == '+' {
			v = new(big.Rat).Add(v, w)
		} else {
			v = new(big.Rat).Sub(v, w)
		}
	}
	return v, ok
}

func (e *evaluator) product(depth int) (*big.Rat, bool) {
	v, ok := e.factor(depth)
	for ok && (e.peek() == '*' || e.peek() == '/') {
		op := e.s[e.i]
		e.i++
		w, good := e.factor(depth)
		if !good {
			return nil, false
		}
		if op == '*' {
			v = new(big.Rat).Mul(v, w)
		} else {
			if w.Sign() == 0 {
				return nil, false
			}
			v = new(big.Rat).Quo(v, w)
		}
	}
	return v, ok
}

func (e *evaluator) factor(depth int) (*big.Rat, bool) {
	if depth > 20 {
		return nil, false
	}
	switch e.peek() {
	case '-':
		e.i++
		v, ok := e.factor(depth + 1)
		if !ok {
			return nil, false
		}
		return new(big.Rat).Neg(v), true
	case '(':
		e.i++
		v, ok := e.sum(depth + 1)
		if !ok || e.peek() != ')' {
			return nil, false
		}
		e.i++
		return e.percent(v), true
	}
	start := e.i
	for e.i < len(e.s) && (e.s[e.i] >= '0' && e.s[e.i] <= '9' || e.s[e.i] == '.') {
		e.i++
	}
	if e.i == start || e.i-start > maxDigits {
		return nil, false
	}
	v, ok := new(big.Rat).SetString(e.s[start:e.i])
	if !ok {
		return nil, false
	}
	return e.percent(v), true
}

func (e *evaluator) percent(v *big.Rat) *big.Rat {
	if e.peek() == '%' {
		e.i++
		return new(big.Rat).Mul(v, big.NewRat(1, 100))
	}
	return v
}

// show writes a value as solution texts do: whole numbers without a point, others with at
// most two decimals.
func show(v *big.Rat) string {
	if v.IsInt() {
		return v.Num().String()
	}
	out := strings.TrimSuffix(strings.TrimRight(v.FloatString(2), "0"), ".")
	if out == "-0" {
		return "0"
	}
	return out
}

// number reads a plain decimal number.
func number(s string) (*big.Rat, bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789.,-$%") != "" {
		return nil, false
	}
	return eval(s)
}
