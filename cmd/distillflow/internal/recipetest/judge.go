package recipetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/stages/data"
)

// Output is what a port gave.
type Output struct {
	Label  string // stage.port
	Record string // record type of its rows; "" for a folder
	Rows   int64
	Digest string
	// Open opens its rows.
	Open func() (io.ReadCloser, error)
}

// Failure is an expectation that did not hold.
type Failure struct {
	Check Check
	Label string // stage.port, or the stage
	Got   string
	Rows  []Row  // examples
	Note  string // a further hint
}

// Row is one row of an output, as an example.
type Row struct {
	Number int // 1-based
	Text   string
}

// maxExamples is how many rows a failure shows.
const maxExamples = 3

// Judge compares a port with an expectation: nil if it holds. The error is one of reading
// the rows, or of an expression that cannot be evaluated.
func (c Check) Judge(o Output) (*Failure, error) {
	f := &Failure{Check: c, Label: o.Label}
	switch c.Kind {
	case Count:
		if o.Rows >= c.Min && (c.Max < 0 || o.Rows <= c.Max) {
			return nil, nil
		}
		f.Got = text.Plural(int(o.Rows), "row")
		err := each(o, func(n int, line []byte) bool {
			f.example(n, line, nil)
			return len(f.Rows) < maxExamples
		})
		return f, err
	case Digest:
		if o.Digest == c.Digest {
			return nil, nil
		}
		f.Got = o.Digest
		return f, nil
	case Fields:
		return c.fields(o, f)
	}
	return c.condition(o, f)
}

func (c Check) fields(o Output, f *Failure) (*Failure, error) {
	lacking := map[string]int{}
	rows, bad := 0, 0
	err := each(o, func(n int, line []byte) bool {
		rows++
		root, whole := gjson.ParseBytes(line), true
		for _, name := range c.Names {
			if !has(root, strings.Split(name, ".")) {
				lacking[name]++
				whole = false
			}
		}
		if !whole {
			bad++
			f.example(n, line, c.Names)
		}
		return true
	})
	if err != nil || bad == 0 {
		return nil, err
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(lacking)) {
		parts = append(parts, fmt.Sprintf("%s is missing in %d of %d rows", name, lacking[name], rows))
	}
	f.Got = strings.Join(parts, "; ")
	return f, nil
}

// has reports whether a row has a field; in a list every element has to.
func has(v gjson.Result, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if v.IsArray() {
		all := true
		v.ForEach(func(_, e gjson.Result) bool {
			all = has(e, path)
			return all
		})
		return all
	}
	found, ok := gjson.Result{}, false
	if v.IsObject() { // not Get: its paths give some characters a meaning
		v.ForEach(func(k, e gjson.Result) bool {
			if k.String() == path[0] {
				found, ok = e, true
			}
			return !ok
		})
	}
	return ok && has(found, path[1:])
}

// condition judges all, any and none.
func (c Check) condition(o Output, f *Failure) (*Failure, error) {
	fields, err := fieldsOf(o)
	if err != nil {
		return nil, err
	}
	cond, err := data.NewCondition(o.Record, c.Expr, fields)
	if err != nil {
		return nil, err
	}
	rows, hits, uses := 0, 0, cond.Uses()
	var failed error
	err = each(o, func(n int, line []byte) bool {
		rows++
		ok, err := cond.Holds(line)
		if err != nil {
			failed = fmt.Errorf("row %d: %w", n, err)
			f.example(n, line, uses)
			return false
		}
		if ok {
			hits++
		}
		if ok == (c.Kind == None) || c.Kind == Any { // for any, rows are shown if none holds
			f.example(n, line, uses)
		}
		return c.Kind != Any || hits == 0
	})
	if err != nil {
		return nil, err
	}
	if failed != nil {
		f.Got = failed.Error()
		return f, nil
	}
	switch {
	case c.Kind == All && hits == rows, c.Kind == None && hits == 0, c.Kind == Any && hits > 0:
		return nil, nil
	case rows == 0:
		f.Got = "no rows"
	case c.Kind == All:
		f.Got = fmt.Sprintf("false for %d of %d rows", rows-hits, rows)
	case c.Kind == None:
		f.Got = fmt.Sprintf("true for %d of %d rows", hits, rows)
	default:
		f.Got = fmt.Sprintf("true for none of %d rows", rows)
	}
	if unseen := cond.Unseen(); rows > 0 {
		f.Note = strings.Join(unseen, "; ")
	}
	return f, nil
}

// fieldsOf lists the fields that the rows have, so that slips in names are told.
func fieldsOf(o Output) ([]string, error) {
	names := map[string]bool{}
	err := each(o, func(_ int, line []byte) bool {
		gjson.ParseBytes(line).ForEach(func(k, _ gjson.Result) bool {
			names[k.String()] = true
			return true
		})
		return true
	})
	return slices.Sorted(maps.Keys(names)), err
}

// each visits the rows until f gives false.
func each(o Output, f func(n int, line []byte) bool) (err error) {
	r, err := o.Open()
	if err != nil {
		return fmt.Errorf("reading %s: %w", o.Label, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for line, err := range stage.Lines(r) {
		if err != nil {
			return fmt.Errorf("reading %s: %w", o.Label, err)
		}
		if !f(line.Number, line.Text) {
			return nil
		}
	}
	return nil
}

// CheckPort reports what can be wrong with a check before anything has run: the port's
// kind and its expression.
func (c Check) CheckPort(p stage.Port) error {
	switch c.Kind {
	case Digest, Skipped:
		return nil
	case All, Any, None:
		if p.Kind == stage.RowsPort {
			_, err := data.NewCondition(p.Record, c.Expr, nil)
			return err
		}
	}
	if p.Kind != stage.RowsPort {
		return fmt.Errorf("%s is a folder and has no rows; expect its digest", p.Name)
	}
	return nil
}

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
