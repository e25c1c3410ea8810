package prompts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// Placeholders lists the names that templates may use in braces.
//
//	core           the task's core prompt
//	question       the question alone
//	choices        the options, one a line, as "(A) text"
//	premise, hypothesis, table
//	answer_format  how to state the final answer
func Placeholders() []string {
	return []string{"core", "question", "choices", "premise", "hypothesis", "table", "answer_format"}
}

// Check reports what is wrong with a style template: it must show the question,
// and every placeholder must be known.
func Check(template string) error {
	if err := checkNames(template, Placeholders()); err != nil {
		return err
	}
	for _, name := range []string{"core", "question", "hypothesis"} {
		if strings.Contains(template, "{"+name+"}") {
			return nil
		}
	}
	return fmt.Errorf("the template never shows the question: add {core} (or {question}, or {premise} and {hypothesis})")
}

// checkNames finds placeholders that are not among the known ones. A brace right after a letter
// belongs to LaTeX, as in \boxed{answer}, and is left alone.
func checkNames(template string, known []string) error {
	for _, at := range placeholder.FindAllStringIndex(template, -1) {
		name := template[at[0]+1 : at[1]-1]
		if slices.Contains(known, name) || at[0] > 0 && isLetter(template[at[0]-1]) {
			continue
		}
		return fmt.Errorf("unknown placeholder {%s}: use one of {%s}", name, strings.Join(known, "}, {"))
	}
	return nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// Render fills in a style template. core is the template of the core prompt; ""
// takes the task's own.
func Render(template string, q Question, core string) string {
	if core == "" {
		core = CoreTemplate(q.Task)
	}
	return fill(template, q, core)
}

// fill replaces the placeholders line by line. A line that held nothing but
// placeholders which are empty for this question disappears.
func fill(template string, q Question, core string) string {
	var out []string
	for _, line := range strings.Split(template, "\n") {
		empty := true
		rest := placeholder.ReplaceAllStringFunc(line, func(m string) string {
			v, ok := value(m[1:len(m)-1], q, core)
			if !ok {
				v = m
			}
			empty = empty && v == ""
			return v
		})
		if empty && rest == "" && line != "" {
			continue
		}
		out = append(out, rest)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

func value(name string, q Question, core string) (string, bool) {
	switch name {
	case "core":
		return fill(core, q, ""), true
	case "question":
		return strings.TrimSpace(q.Question), true
	case "choices":
		lines := make([]string, len(q.Choices))
		for i, c := range q.Choices {
			lines[i] = "(" + c.Label + ") " + c.Text
		}
		return strings.Join(lines, "\n"), true
	case "premise":
		return strings.TrimSpace(q.Premise), true
	case "hypothesis":
		return strings.TrimSpace(q.Hypothesis), true
	case "table":
		return strings.TrimRight(q.Table, "\n"), true
	case "answer_format":
		return AnswerFormat(q), true
	}
	return "", false
}
