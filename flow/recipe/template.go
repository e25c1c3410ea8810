package recipe

import (
	"strings"
	"unicode/utf8"
)

// piece is a part of a text with ${{ }}: literal text or an expression.
type piece struct {
	text   string
	isExpr bool
	offset int // runes before text in the whole
}

const (
	exprOpen    = "${{"
	exprEscaped = "$${{" // stands for a literal ${{
	exprClose   = "}}"
)

func hasExpr(s string) bool { return strings.Contains(s, exprOpen) }

// splitTemplate cuts a text into its pieces. Braces inside an expression (maps)
// and quoted text do not end it. When an expression is not closed, unclosed is
// the offset of its ${{ in runes, else -1.
func splitTemplate(s string) (pieces []piece, unclosed int) {
	runes := 0 // before rest
	var lit strings.Builder
	litStart := 0
	flush := func() {
		if lit.Len() > 0 {
			pieces = append(pieces, piece{text: lit.String(), offset: litStart})
			lit.Reset()
		}
	}
	rest := s
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, exprEscaped):
			lit.WriteString(exprOpen)
			rest = rest[len(exprEscaped):]
			runes += len(exprEscaped)
		case strings.HasPrefix(rest, exprOpen):
			flush()
			body := rest[len(exprOpen):]
			n := exprEnd(body)
			if n < 0 {
				return pieces, runes
			}
			text := body[:n]
			trimmed := strings.TrimLeft(text, " \t\r\n")
			pieces = append(pieces, piece{
				text:   strings.TrimRight(trimmed, " \t\r\n"),
				isExpr: true,
				offset: runes + len(exprOpen) + len(text) - len(trimmed), // only ASCII was trimmed
			})
			rest = body[n+len(exprClose):]
			runes += len(exprOpen) + utf8.RuneCountInString(text) + len(exprClose)
			litStart = runes
		default:
			n := strings.IndexByte(rest[1:], '$') + 1
			if n == 0 {
				n = len(rest)
			}
			lit.WriteString(rest[:n])
			runes += utf8.RuneCountInString(rest[:n])
			rest = rest[n:]
		}
	}
	flush()
	return pieces, -1
}

// exprEnd gives the byte offset of the }} that closes an expression, or -1.
func exprEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'', '`':
			j := i + 1
			for j < len(s) && s[j] != c {
				if s[j] == '\\' && c != '`' {
					j++
				}
				j++
			}
			if j >= len(s) {
				// An unclosed quote: let the expression end at the next }} so
				// that its own compiler can point at the quote.
				if end := strings.Index(s[i:], exprClose); end >= 0 {
					return i + end
				}
				return -1
			}
			i = j
		case '{':
			depth++
		case '}':
			if depth > 0 {
				depth--
			} else if strings.HasPrefix(s[i:], exprClose) {
				return i
			}
		}
	}
	return -1
}

// whole reports whether the pieces are one expression and nothing but white
// space around it; such a value keeps the expression's type.
func whole(pieces []piece) (piece, bool) {
	var found piece
	n := 0
	for _, p := range pieces {
		if p.isExpr {
			found = p
			n++
		} else if strings.TrimSpace(p.text) != "" {
			return piece{}, false
		}
	}
	return found, n == 1
}
