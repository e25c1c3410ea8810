package expect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Bounds of an example, in characters.
const (
	maxText  = 60  // of a text in it
	maxShown = 400 // as a whole
)

// example keeps a row to show, of the fields that matter for the check; nil shows all.
func (f *Failure) example(n int, line []byte, fields []string) {
	if len(f.Rows) < maxExamples {
		f.Rows = append(f.Rows, Row{n, brief(line, fields)})
	}
}

// brief is a row in JSON for people: its id and the named fields, long texts cut. A name
// may go on behind a dot, into the fields of a field.
func brief(line []byte, fields []string) string {
	root := gjson.ParseBytes(line)
	if !root.IsObject() {
		return cut(string(line), maxShown)
	}
	show := func(name string) bool {
		return name == "id" || len(fields) == 0 || slices.ContainsFunc(fields, func(f string) bool {
			top, _, _ := strings.Cut(f, ".")
			return top == name
		})
	}
	var b strings.Builder
	b.WriteByte('{')
	root.ForEach(func(k, v gjson.Result) bool {
		if show(k.String()) {
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			b.WriteString(quote(k.String()) + ":")
			value(&b, v)
		}
		return b.Len() <= 4*maxShown // what follows would be cut
	})
	b.WriteByte('}')
	return cut(b.String(), maxShown)
}

func value(b *strings.Builder, v gjson.Result) {
	switch {
	case v.Type == gjson.String:
		b.WriteString(quote(cut(v.String(), maxText)))
	case v.IsArray(), v.IsObject():
		open, end := "[", "]"
		if v.IsObject() {
			open, end = "{", "}"
		}
		b.WriteString(open)
		first := true
		v.ForEach(func(k, e gjson.Result) bool {
			if !first {
				b.WriteByte(',')
			}
			first = false
			if v.IsObject() {
				b.WriteString(quote(k.String()) + ":")
			}
			value(b, e)
			return b.Len() <= 4*maxShown
		})
		b.WriteString(end)
	default:
		b.WriteString(v.Raw)
	}
}

func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return s
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
