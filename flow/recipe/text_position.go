package recipe

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/diag"
)

// style is how a scalar was written.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	block                   // | or >
	hasProps style = 1 << 7 // an anchor or a tag stands before the scalar
)

func styleOf(n *yaml.Node) style {
	s := plain
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		s = singleQuoted
	case n.Style&yaml.DoubleQuotedStyle != 0:
		s = doubleQuoted
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		s = block
	}
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		s |= hasProps
	}
	return s
}

// posIn gives the source position of the rune at offset (in runes) of the
// decoded text of a String value. YAML folds lines, strips indentation and
// decodes escapes, so the decoded and the written text are walked side by
// side: white space is skipped on both, and every other rune must agree. Where
// they do not (an unusual escape), the value's own position is the answer.
func posIn(src *diag.Sources, v *Value, offset int) diag.Pos {
	if v.style == plain && strings.IndexFunc(v.Str, unicode.IsSpace) < 0 {
		return v.Pos.Shift(offset) // one word stands as it is
	}
	text, ok := src.Text(v.Pos.File)
	if !ok {
		return v.Pos
	}
	start, ok := src.Offset(v.Pos.File, v.Pos.Line)
	if !ok {
		return v.Pos
	}
	w := &walker{text: text[start:], pos: diag.Pos{File: v.Pos.File, Line: v.Pos.Line, Col: 1}, style: v.style &^ hasProps}
	if v.Pos.Line == 1 && strings.HasPrefix(w.text, "\ufeff") {
		w.text = w.text[len("\ufeff"):]
	}
	for w.pos.Col < v.Pos.Col && w.text != "" {
		w.next()
	}
	if !w.enter(v.style&hasProps != 0) {
		return v.Pos
	}
	best := w.pos
	i := 0
	for _, r := range v.Str {
		if i > offset {
			break
		}
		i++
		if unicode.IsSpace(r) {
			best = w.pos
			continue
		}
		at, ok := w.seek(r)
		if !ok {
			return v.Pos
		}
		best = at
	}
	if i <= offset {
		return w.pos // behind the last rune
	}
	return best
}

type walker struct {
	text  string
	pos   diag.Pos
	style style
}

func (w *walker) peek() rune {
	r, _ := utf8.DecodeRuneInString(w.text)
	return r
}

func (w *walker) next() {
	r, n := utf8.DecodeRuneInString(w.text)
	w.text = w.text[n:]
	if r == '\n' {
		w.pos.Line++
		w.pos.Col = 1
	} else {
		w.pos.Col++
	}
}

func (w *walker) skipSpace() {
	for w.text != "" && unicode.IsSpace(w.peek()) {
		w.next()
	}
}

// enter moves from the node's position to the first rune of its content.
func (w *walker) enter(props bool) bool {
	for props && w.text != "" && (w.peek() == '&' || w.peek() == '!') {
		for w.text != "" && !unicode.IsSpace(w.peek()) {
			w.next()
		}
		w.skipSpace()
	}
	switch w.style {
	case singleQuoted, doubleQuoted:
		quote := rune('\'')
		if w.style == doubleQuoted {
			quote = '"'
		}
		if w.text == "" || w.peek() != quote {
			return false
		}
		w.next()
	case block:
		if w.text == "" || (w.peek() != '|' && w.peek() != '>') {
			return false
		}
		for w.text != "" && w.peek() != '\n' {
			w.next()
		}
	}
	return true
}

// seek moves behind the next rune, which must stand for r, and tells where it was.
func (w *walker) seek(r rune) (diag.Pos, bool) {
	for w.text != "" {
		c := w.peek()
		at := w.pos
		switch {
		case unicode.IsSpace(c):
			w.next()
			continue
		case c == '\\' && w.style == doubleQuoted:
			w.next()
			if w.text == "" {
				return at, false
			}
			e := w.peek()
			w.next()
			switch e {
			case r: // \" and \\ and \/
				return at, true
			case 'n', 't', 'r', '\n', ' ', '_', 'N', 'L', 'P', 'v', 'f': // white space, or a line continued
				continue
			case 'x', 'u', 'U':
				for range map[rune]int{'x': 2, 'u': 4, 'U': 8}[e] {
					w.next()
				}
			}
			return at, true // any other escape stands for one rune
		case c == '\'' && w.style == singleQuoted && r == '\'':
			w.next() // written twice
			w.next()
			return at, true
		}
		w.next()
		return at, c == r
	}
	return w.pos, false
}
