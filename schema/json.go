package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
)

// Field is one JSON field kept as it came.
type Field struct {
	Name string
	Raw  []byte // its value as JSON
}

// Fields is a list of JSON fields in the order in which they came.
type Fields []Field

// Get returns the raw JSON of a field, or nil.
func (f Fields) Get(name string) []byte {
	for _, x := range f {
		if x.Name == name {
			return x.Raw
		}
	}
	return nil
}

// String returns a field's string value, or "" where it is absent or no string.
func (f Fields) String(name string) string {
	if r := gjson.ParseBytes(f.Get(name)); r.Type == gjson.String {
		return r.String()
	}
	return ""
}

// Set replaces the field or appends it.
func (f *Fields) Set(name string, raw []byte) {
	for i := range *f {
		if (*f)[i].Name == name {
			(*f)[i].Raw = raw
			return
		}
	}
	*f = append(*f, Field{Name: name, Raw: raw})
}

// Names notices a name that an object has twice. The zero value is ready.
type Names struct {
	few  [16]string // in order, while they are few enough to look through
	n    int        // names in few
	many map[string]bool
}

// Add notes a name and reports whether it is there for the first time.
func (n *Names) Add(name string) bool {
	for _, other := range n.few[:n.n] {
		if other == name {
			return false
		}
	}
	if n.n < len(n.few) {
		n.few[n.n] = name
		n.n++
		return true
	}
	if n.many[name] {
		return false
	}
	if n.many == nil {
		n.many = map[string]bool{}
	}
	n.many[name] = true
	return true
}

// objectWriter appends the members of one JSON object.
type objectWriter struct {
	buf  []byte
	some bool
}

func (w *objectWriter) key(name string) {
	if w.some {
		w.buf = append(w.buf, ',')
	}
	w.some = true
	w.buf = AppendString(w.buf, name)
	w.buf = append(w.buf, ':')
}

func (w *objectWriter) str(name, v string) {
	w.key(name)
	w.buf = AppendString(w.buf, v)
}

func (w *objectWriter) strOpt(name, v string) {
	if v != "" {
		w.str(name, v)
	}
}

func (w *objectWriter) num(name string, v int) {
	w.key(name)
	w.buf = appendInt(w.buf, v)
}

func (w *objectWriter) boolean(name string, v bool) {
	w.key(name)
	w.buf = strconv.AppendBool(w.buf, v)
}

func (w *objectWriter) fields(f Fields) {
	for _, x := range f {
		w.key(x.Name)
		w.buf = append(w.buf, x.Raw...)
	}
}

func (w *objectWriter) span(s *Span) {
	if s == nil {
		return
	}
	w.key("span")
	w.buf = append(w.buf, '[')
	w.buf = appendInt(w.buf, s.Start)
	w.buf = append(w.buf, ',')
	w.buf = appendInt(w.buf, s.End)
	w.buf = append(w.buf, ']')
}

func (w *objectWriter) judge(j *Judge) {
	if j == nil {
		return
	}
	w.key("judge")
	in := objectWriter{buf: append(w.buf, '{')}
	in.boolean("valid", j.Valid)
	in.strOpt("reason", j.Reason)
	w.buf = append(in.buf, '}')
}

func appendInt(dst []byte, v int) []byte { return strconv.AppendInt(dst, int64(v), 10) }

// AppendString appends s as a JSON string. Unlike encoding/json it leaves <, >
// and & alone, because prompts and answers are full of them; bytes that are not
// UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if asIs[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\ufffd"...)
				i++
				start = i
				continue
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// asIs are the bytes that a JSON string holds as they are.
var asIs = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// KindOf names the kind of a JSON value for error messages, as in "a list".
func KindOf(v gjson.Result) string {
	switch {
	case v.IsObject():
		return "an object"
	case v.IsArray():
		return "a list"
	case v.IsBool():
		return "a boolean"
	case v.Type == gjson.Number:
		return "a number"
	case v.Type == gjson.String:
		return "a string"
	}
	return "null"
}

// TypeError says that a field holds another kind of value than it must.
func TypeError(field, want string, v gjson.Result) error {
	return fmt.Errorf("field %q must be %s, not %s", field, want, KindOf(v))
}

func setString(dst *string, name string, v gjson.Result) error {
	switch v.Type {
	case gjson.String:
		*dst = v.String()
	case gjson.Null:
	default:
		return TypeError(name, "a string", v)
	}
	return nil
}

func setInt(dst *int, name string, v gjson.Result) error {
	n, err := strconv.Atoi(v.Raw)
	if v.Type != gjson.Number || err != nil {
		return TypeError(name, "a whole number", v)
	}
	*dst = n
	return nil
}

// CheckJSON reports what is wrong with a line that should be one JSON value,
// with the byte column. It also bounds the nesting depth, which keeps a hostile
// line from exhausting the stack.
func CheckJSON(line []byte) error {
	if jsoncheck.Valid(line) {
		return nil
	}
	var raw json.RawMessage
	err := json.Unmarshal(line, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := line[:min(int(syntax.Offset), len(line))]
		if n := bytes.Count(before, []byte{'\n'}); n > 0 {
			return fmt.Errorf("not valid JSON: %w (line %d of the row, column %d)", err, n+1, len(before)-bytes.LastIndexByte(before, '\n')-1)
		}
		return fmt.Errorf("not valid JSON: %w (column %d)", err, syntax.Offset)
	}
	return fmt.Errorf("not valid JSON: %w", err)
}
