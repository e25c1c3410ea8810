package chat

import (
	"regexp"
	"strings"
)

// The Jinja library reads "a if b else c" only where it is a whole expression.
// Templates also write it in parentheses and among arguments; there it is rewritten
// to a call of a function of our own.

const chooseName = "choose_value"

// tags matches what holds expressions.
var tags = regexp.MustCompile(`(?s)\{\{.*?\}\}|\{%.*?%\}`)

func rewriteConditionals(source string) string {
	return tags.ReplaceAllStringFunc(source, func(tag string) string {
		if !strings.Contains(tag, "if") || !strings.ContainsAny(tag, "([{") {
			return tag
		}
		return tag[:2] + rewriteGroups(tag[2:len(tag)-2], 0) + tag[len(tag)-2:]
	})
}

// maxGroups is how deep brackets are followed.
const maxGroups = 50

// rewriteGroups rewrites within every bracketed group of an expression.
func rewriteGroups(s string, depth int) string {
	if depth > maxGroups {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch s[i] {
		case '\'', '"':
			end := skipString(s, i)
			b.WriteString(s[i:end])
			i = end
		case '(', '[', '{':
			end := skipGroup(s, i)
			if end < 0 {
				b.WriteString(s[i:])
				return b.String()
			}
			inner := rewriteGroups(s[i+1:end-1], depth+1)
			b.WriteByte(s[i])
			for k, part := range topLevel(inner, ",") {
				if k > 0 {
					b.WriteByte(',')
				}
				b.WriteString(choose(part, depth))
			}
			b.WriteByte(s[end-1])
			i = end
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String()
}

// choose rewrites one expression that stands alone in its group.
func choose(s string, depth int) string {
	if depth > maxGroups {
		return s
	}
	parts := topLevel(s, "if")
	if len(parts) < 2 || len(topLevel(s, "for")) > 1 {
		return s
	}
	value, tail := parts[0], strings.Join(parts[1:], "if")
	name := ""
	if m := keyword.FindString(value); m != "" {
		name, value = m, value[len(m):]
	}
	branches := topLevel(tail, "else")
	otherwise := "''"
	if len(branches) > 1 {
		otherwise = choose(strings.Join(branches[1:], "else"), depth+1)
	}
	return name + chooseName + "(" + branches[0] + "," + value + "," + otherwise + ")"
}

// keyword matches the name of a keyword argument.
var keyword = regexp.MustCompile(`^\s*\w+\s*=\s*\b`)

// topLevel splits at a word or sign outside of strings and brackets.
func topLevel(s, at string) []string {
	var out []string
	from := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\'' || c == '"':
			i = skipString(s, i)
			continue
		case c == '(' || c == '[' || c == '{':
			if end := skipGroup(s, i); end > 0 {
				i = end
				continue
			}
		case strings.HasPrefix(s[i:], at) && (at == "," || wordAt(s, i, len(at))):
			out = append(out, s[from:i])
			i += len(at)
			from = i
			continue
		}
		i++
	}
	return append(out, s[from:])
}

func wordAt(s string, i, n int) bool {
	letter := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	return (i == 0 || !letter(s[i-1])) && (i+n >= len(s) || !letter(s[i+n]))
}

// skipString gives the offset behind the string literal at i.
func skipString(s string, i int) int {
	quote := s[i]
	for i++; i < len(s) && s[i] != quote; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return min(len(s), i+1)
}

// skipGroup gives the offset behind the bracketed group at i, or -1.
func skipGroup(s string, i int) int {
	open := 0
	for i < len(s) {
		switch s[i] {
		case '\'', '"':
			i = skipString(s, i)
			continue
		case '(', '[', '{':
			open++
		case ')', ']', '}':
			if open--; open == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}
