package recipe

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/diag"
)

// quickReader reads the part of YAML in which large generated recipes are
// written: block maps of plain keys, flow maps and lists on one line, plain and
// quoted scalars without escapes, ASCII only. It is several times as fast as the
// YAML reader and makes no nodes. At anything else it gives up, and the YAML
// reader takes over; a test compares the two.
type quickReader struct {
	y      *yamlReader
	text   string
	at     int
	start  int  // of the line in text
	line   int  // from 0
	indent int  // of the line; -1 behind the last one
	bad    bool // gave up
	depth  int
	plains map[string]*yaml.Node // scalars that the YAML reader judged
}

// quick reads a chunk, or gives nil.
func (y *yamlReader) quick(c fileChunk) *Value {
	q := &quickReader{y: y, text: c.text}
	q.content()
	if q.indent != c.col-1 {
		return nil
	}
	v := q.block()
	if q.bad || q.indent >= 0 {
		return nil
	}
	return v
}

func (q *quickReader) fail() *Value {
	q.bad = true
	return nil
}

func (q *quickReader) peek() byte {
	if q.at < len(q.text) {
		return q.text[q.at]
	}
	return '\n'
}

func (q *quickReader) spaces() int {
	from := q.at
	for q.at < len(q.text) && q.text[q.at] == ' ' {
		q.at++
	}
	return q.at - from
}

// content moves from the start of a line to the first one, from there on, that
// is neither blank nor a comment, and notes its indentation.
func (q *quickReader) content() {
	for q.start = q.at; q.at < len(q.text); q.start = q.at {
		q.indent = q.spaces()
		switch q.peek() {
		case '\n':
			q.at++
		case '#':
			q.skipLine()
		default:
			return
		}
		q.line++
	}
	q.indent = -1
}

func (q *quickReader) skipLine() {
	if n := strings.IndexByte(q.text[q.at:], '\n'); n >= 0 {
		q.at += n + 1
	} else {
		q.at = len(q.text)
	}
}

// endLine moves behind the rest of a line, which must be blank or a comment, to
// the next content.
func (q *quickReader) endLine() bool {
	gap := q.spaces()
	if c := q.peek(); c != '\n' && (c != '#' || gap == 0) {
		q.bad = true
		return false
	}
	q.skipLine()
	q.line++
	q.content()
	return true
}

func (q *quickReader) pos(at int) diag.Pos {
	return diag.Pos{File: q.y.file, Line: q.y.lines + q.line + 1, Col: at - q.start + 1}
}

func (q *quickReader) value(kind Kind, at int) *Value {
	if q.y.values++; q.y.values > maxValues {
		q.bad = true
	}
	v := q.y.alloc()
	v.Kind, v.Pos, v.BaseDir = kind, q.pos(at), q.y.baseDir
	return v
}

// block reads a block map whose first key stands at the present place.
func (q *quickReader) block() *Value {
	if q.depth++; q.depth > 50 {
		return q.fail()
	}
	indent := q.indent
	v := q.value(Map, q.at)
	seen := keyIndex{v: v}
	for q.indent == indent {
		key, kp, ok := q.key()
		if !ok || seen.find(key) >= 0 {
			return q.fail()
		}
		var val *Value
		gap := q.spaces()
		if c := q.peek(); c == '\n' || c == '#' && gap > 0 {
			if !q.endLine() || q.indent <= indent {
				return q.fail()
			}
			val = q.block()
		} else {
			val = q.inline(false)
			if !q.bad {
				q.endLine()
			}
		}
		if q.bad || q.indent > indent {
			return q.fail()
		}
		v.Entries = append(v.Entries, Entry{Key: key, KeyPos: kp, Val: val})
	}
	q.depth--
	return v
}

// key reads NAME: with its colon, behind which a space or a line end stands.
func (q *quickReader) key() (string, diag.Pos, bool) {
	from := q.at
	for q.at < len(q.text) && plainBytes[q.text[q.at]]&inKey != 0 {
		q.at++
	}
	if q.at == from || q.text[from] == '-' || q.peek() != ':' {
		return "", diag.Pos{}, false
	}
	name := q.text[from:q.at]
	q.at++
	if c := q.peek(); c != ' ' && c != '\n' {
		return "", diag.Pos{}, false
	}
	return q.y.key(name), q.pos(from), true
}

// inline reads a value that ends on its line.
func (q *quickReader) inline(flow bool) *Value {
	from := q.at
	switch c := q.peek(); c {
	case '{', '[':
		return q.flow()
	case '"', '\'':
		n := strings.IndexByte(q.text[from+1:], c)
		if n < 0 {
			return q.fail()
		}
		s := q.text[from+1 : from+1+n]
		for i := range len(s) {
			if b := s[i]; b < ' ' || b > '~' || b == '\\' && c == '"' {
				return q.fail()
			}
		}
		q.at = from + n + 2
		if q.peek() == c {
			return q.fail()
		}
		v := q.value(String, from)
		if v.Str, v.style = s, doubleQuoted; c == '\'' {
			v.style = singleQuoted
		}
		return v
	}
	return q.plain(flow)
}

// flow reads { } or [ ].
func (q *quickReader) flow() *Value {
	if q.depth++; q.depth > 50 {
		return q.fail()
	}
	kind, closer := Map, byte('}')
	if q.peek() == '[' {
		kind, closer = List, ']'
	}
	v := q.value(kind, q.at)
	seen := keyIndex{v: v}
	q.at++
	for q.spaces(); q.peek() != closer; q.spaces() {
		if kind == Map {
			key, kp, ok := q.key()
			if !ok || seen.find(key) >= 0 {
				return q.fail()
			}
			q.spaces()
			v.Entries = append(v.Entries, Entry{Key: key, KeyPos: kp, Val: q.inline(true)})
		} else {
			v.Items = append(v.Items, q.inline(true))
		}
		if q.bad {
			return nil
		}
		q.spaces()
		if c := q.peek(); c == ',' {
			q.at++
		} else if c != closer {
			return q.fail()
		}
	}
	q.at++
	q.depth--
	return v
}

// What a byte may be in a plain scalar.
const (
	inKey   = 1 << iota // part of a key
	isFirst             // the first of a scalar
	inPlain             // a later one
)

var plainBytes = func() (t [256]uint8) {
	for c := range 128 {
		switch b := byte(c); {
		case isLetter(b) || b >= '0' && b <= '9' || b == '_':
			t[b] = inKey | isFirst | inPlain
		case b == '-':
			t[b] = inKey | inPlain
		case strings.IndexByte("/.", b) >= 0:
			t[b] = isFirst | inPlain
		case strings.IndexByte("+@%=()~;<>!$^*&", b) >= 0:
			t[b] = inPlain
		}
	}
	return t
}()

// plain reads a plain scalar.
func (q *quickReader) plain(flow bool) *Value {
	from, end := q.at, q.at // end: behind the last byte that is no space
	if c := q.peek(); plainBytes[c]&isFirst == 0 && (c != '-' || from+1 >= len(q.text) || q.text[from+1] < '0' || q.text[from+1] > '9') {
		return q.fail()
	}
scan:
	for q.at < len(q.text) {
		switch c := q.text[q.at]; {
		case plainBytes[c]&inPlain != 0:
			end = q.at + 1
		case c == ' ':
		case c == '\n', flow && (c == ',' || c == ']' || c == '}'):
			break scan
		case c == '#' && end == q.at:
			end = q.at + 1
		case c == '#' && !flow:
			break scan
		case c == ':' && q.at+1 < len(q.text) && (isLetter(q.text[q.at+1]) || q.text[q.at+1] >= '/' && q.text[q.at+1] <= '9'):
			end = q.at + 1
		default:
			return q.fail()
		}
		q.at++
	}
	q.at = end
	return q.resolve(q.text[from:end], q.value(String, from))
}

// resolve gives a plain scalar its type: at once where that is plain to see,
// else by asking the YAML reader.
func (q *quickReader) resolve(s string, v *Value) *Value {
	v.Str = s
	digits := strings.TrimPrefix(s, "-")
	switch c := s[0]; {
	case c == '/', isLetter(c) && (len(s) > 5 || strings.IndexByte("nNtTfFyYoO", c) < 0):
		return v
	case len(digits) < 18 && (digits == "0" || digits[0] > '0' && digits[0] <= '9') && strings.Trim(digits, "0123456789") == "":
		v.Kind = Int
		v.Int, _ = strconv.ParseInt(s, 10, 64) // 18 digits fit
		return v
	}
	n, seen := q.plains[s]
	if !seen {
		loader, err := q.y.loader(strings.NewReader(s))
		if err != nil {
			return q.fail()
		}
		var doc yaml.Node
		if loader.Load(&doc) != nil || len(doc.Content) != 1 {
			return q.fail()
		}
		if n = doc.Content[0]; n.Kind != yaml.ScalarNode || n.Value != s {
			return q.fail()
		}
		if q.plains == nil {
			q.plains = map[string]*yaml.Node{}
		}
		if len(q.plains) < 10_000 {
			q.plains[s] = n
		}
	}
	before := len(*q.y.diags)
	q.y.scalar(n, v)
	if len(*q.y.diags) > before {
		*q.y.diags = (*q.y.diags)[:before]
		return q.fail()
	}
	return v
}
