package simulated

import (
	"strconv"
	"strings"
)

// render writes the reasoning in the shape of a style, without the final statement. Every
// shape has its own frame words, so that a reader, or a router, can tell the styles apart.
// A style it does not know gets the shape of cot.
func (p *problem) render(style string) string {
	switch style {
	case "code":
		return p.code()
	case "knowledge":
		return p.knowledge()
	case "tree":
		return "Path 1: " + p.deadEnd() + ", no. Path 2: " + p.joined(", ") + ", yes."
	case "forward-backward":
		return p.joined(". ") + ". Back: " + p.back() + "."
	case "plain":
		return "So " + p.joined(" and ") + "."
	case "power":
		return p.parts()
	}
	return p.joined(". ") + "."
}

// thought is what the teacher thinks before it answers: it states the rival's answer, in
// words that a reader could take for the answer, takes it back, and works the problem out.
func (p *problem) thought() string {
	rival := *p
	rival.answer = p.rival
	return "Maybe " + p.says(p.rival) + ". " + rival.statement() + " No. " + p.parts() + " So " + p.says(p.answer) + "."
}

func (p *problem) joined(sep string) string {
	parts := make([]string, len(p.steps))
	for i, s := range p.steps {
		parts[i] = s.String()
	}
	return strings.Join(parts, sep)
}

// code writes equations as assignments, each value beside its line as a comment. Without
// the values a reader would have to run the program in its head to reach the answer.
func (p *problem) code() string {
	var b strings.Builder
	names := map[string]string{} // value -> variable that holds it
	last := ""
	for _, s := range p.steps {
		if s.lhs == "" {
			b.WriteString("# " + s.text + "\n")
			continue
		}
		lhs := substitute(s.lhs, names)
		last = variable(len(names))
		for used := true; used; {
			used = false
			for _, n := range names {
				if n == last {
					used = true
					last = variable(int(n[0]-'a') + 1)
				}
			}
		}
		b.WriteString(last + " = " + lhs + " # " + s.rhs + "\n")
		names[s.rhs] = last
	}
	if last == "" {
		last = strconv.Quote(p.answer)
		if _, ok := number(p.answer); ok {
			last = p.answer
		}
	}
	b.WriteString("print(" + last + ")\n")
	return strings.TrimSuffix(b.String(), "\n")
}

func variable(i int) string { return string(rune('a' + i%26)) }

// knowledge names the rule that it then applies.
func (p *problem) knowledge() string {
	var ops []string
	for _, s := range p.steps {
		if i := strings.IndexAny(strings.TrimPrefix(s.lhs, "-"), "+-*/"); i >= 0 {
			lhs := strings.TrimPrefix(s.lhs, "-")
			ops = append(ops, map[byte]string{'+': "add", '-': "subtract", '*': "multiply", '/': "divide"}[lhs[i]])
		}
	}
	if len(ops) == 0 {
		return "Fact: " + p.joined(". ") + "."
	}
	return "Rule: " + strings.Join(ops, ", then ") + ". " + p.joined(". ") + "."
}

// deadEnd is the branch of the tree that is given up: the first step with another
// operation, without its value, or the rival answer's claim.
func (p *problem) deadEnd() string {
	for _, s := range p.steps {
		if f := strings.Fields(s.lhs); len(f) == 3 {
			if other, ok := otherOperation(f); ok {
				return other
			}
		}
	}
	return p.says(p.rival)
}

// back checks the last step by its inverse, or else refutes the rival.
func (p *problem) back() string {
	for i := len(p.steps) - 1; i >= 0; i-- {
		s := p.steps[i]
		if s.lhs == "" {
			continue
		}
		f := strings.Fields(s.lhs)
		if len(f) != 3 {
			return s.rhs + " = " + s.lhs
		}
		inverse := map[string]string{"+": "-", "-": "+", "*": "/", "/": "*"}[f[1]]
		check := s.rhs + " " + inverse + " " + f[2]
		if v, ok := eval(check); ok && inverse != "" {
			return check + " = " + show(v)
		}
		return s.rhs + " = " + s.lhs
	}
	return p.says(p.rival) + ", no"
}

// parts numbers the steps and checks the last.
func (p *problem) parts() string {
	var b strings.Builder
	for i, s := range p.steps {
		b.WriteString("Part " + strconv.Itoa(i+1) + ": " + s.String() + ". ")
	}
	return b.String() + "Check: " + p.back() + "."
}
