package main

import "strings"

// rewriteCalls replaces every call name(args) in s by rules[name](args); args
// are rewritten first. A call without a rule stays as it is. ok is false when
// brackets do not match or a rule refuses.
func rewriteCalls(s string, rules map[string]func(args []string) (string, bool)) (out string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && nameByte(s[j]) {
			j++
		}
		if j == i {
			b.WriteByte(s[i])
			i++
			continue
		}
		name := s[i:j]
		if j >= len(s) || s[j] != '(' {
			b.WriteString(name)
			i = j
			continue
		}
		end := matching(s, j)
		if end < 0 {
			return "", false
		}
		var args []string
		for _, a := range splitArgs(s[j+1 : end]) {
			r, ok := rewriteCalls(strings.TrimSpace(a), rules)
			if !ok {
				return "", false
			}
			args = append(args, r)
		}
		if f, known := rules[name]; known {
			r, ok := f(args)
			if !ok {
				return "", false
			}
			b.WriteString(r)
		} else {
			b.WriteString(name + "(" + strings.Join(args, ",") + ")")
		}
		i = end + 1
	}
	return b.String(), true
}

func nameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '%' || c == '.'
}

// matching returns the index of the bracket that closes the one at i.
func matching(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// splitArgs splits at commas outside of brackets.
func splitArgs(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

// form builds a rule that fills $1, $2, ... into a pattern for exactly n
// arguments.
func form(n int, pattern string) func([]string) (string, bool) {
	return func(a []string) (string, bool) {
		if len(a) != n {
			return "", false
		}
		out := pattern
		for i, x := range a {
			out = strings.ReplaceAll(out, "$"+string(rune('1'+i)), x)
		}
		return out, true
	}
}

// refuse marks a call that has no translation.
func refuse([]string) (string, bool) { return "", false }

// rows turns ["[1,2]", "[3,4]"] into a LaTeX matrix.
func rows(args []string) (string, bool) {
	var out []string
	for _, a := range args {
		a = strings.TrimSpace(a)
		if !strings.HasPrefix(a, "[") || !strings.HasSuffix(a, "]") {
			return "", false
		}
		out = append(out, strings.Join(splitArgs(a[1:len(a)-1]), " & "))
	}
	return `\begin{pmatrix}` + strings.Join(out, ` \\ `) + `\end{pmatrix}`, true
}
