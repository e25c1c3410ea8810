package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/data"
)

// place is where a record stands: the byte at which its row begins and, of problems, the
// index of the path.
type place struct {
	offset int64
	path   int
}

func (p place) String() string { return fmt.Sprintf("%d.%d", p.offset, p.path) }

func parsePlace(s string) (place, error) {
	if s == "" {
		return place{}, nil
	}
	offset, path, _ := strings.Cut(s, ".")
	o, err1 := strconv.ParseInt(offset, 10, 64)
	n, err2 := strconv.Atoi(path)
	if err1 != nil || err2 != nil || o < 0 || n < 0 {
		return place{}, notFound{fmt.Sprintf("%q is no place of a record", s)}
	}
	return place{o, n}, nil
}

// query says which records of an output a page shows.
type query struct {
	Text     string // part of a prompt, a thought or a response, in any case
	Where    string // an expression over the row
	Style    string
	Verdict  string
	Provider string
	Mark     string // of the latest note
}

func parseQuery(v url.Values) query {
	return query{Text: v.Get("q"), Where: v.Get("where"), Style: v.Get("style"), Verdict: v.Get("verdict"), Provider: v.Get("provider"), Mark: v.Get("mark")}
}

// Values is the query as it stands in an address.
func (q query) Values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "where": q.Where, "style": q.Style, "verdict": q.Verdict, "provider": q.Provider, "mark": q.Mark} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// record is one that a page shows: a path of a problem, what a student predicted, or any
// other row.
type record struct {
	At      place
	problem *schema.Problem // nil of other rows
	path    int
	row     []byte
	bare    bool // the problem has no paths; what is shown as one is the problem itself
	student bool // a prediction
}

// What a page shows of one text, and of how many fields: more than a person reads, and
// less than a browser dies of. cat prints all.
const (
	maxText   = 256 << 10
	maxFields = 500
)

// Path shows a path, with texts of a sane length whole.
func (r record) Path() pages.Path {
	p := pages.NewPath(r.problem, r.path, maxText)
	p.Verdict = r.verdict()
	return p
}

func (r record) verdict() pages.Verdict {
	if r.bare { // nobody was asked
		return pages.Ungraded
	}
	return pages.VerdictOf(&r.problem.Paths[r.path])
}

// Paths reports whether there is a path to show.
func (r record) Paths() bool { return r.problem != nil }

// maxStart is the most characters of a row in a list.
const maxStart = 120

// Start is what a row begins with, without the names of its fields.
func (r record) Start() string {
	var parts []string
	left := maxStart
	gjson.ParseBytes(r.row).ForEach(func(_, v gjson.Result) bool {
		s := text.FirstLine(v.String())
		if r := []rune(s[:min(len(s), 4*maxStart)]); len(r) > maxStart { // 4 bytes are the longest rune
			s = string(r[:maxStart]) + "…"
		}
		parts = append(parts, s)
		left -= len(s)
		return left > 0
	})
	return strings.Join(parts, " · ")
}

// Fields are the fields of a row.
func (r record) Fields() []pages.Fact {
	var list []pages.Fact
	gjson.ParseBytes(r.row).ForEach(func(k, v gjson.Result) bool {
		if len(list) == maxFields {
			list = append(list, pages.Fact{Name: "…", Value: "further fields left out; distillflow cat prints them"})
			return false
		}
		list = append(list, pages.NewFact(k.String(), v.String(), maxText))
		return true
	})
	return list
}

// recordsOf are the records that a row holds.
func recordsOf(kind string, row runrecord.Row) ([]record, error) {
	one := record{At: place{offset: row.Offset}, row: row.JSON}
	switch kind {
	case schema.Problem{}.RecordType():
		p := &schema.Problem{}
		if err := p.UnmarshalJSON(row.JSON); err != nil {
			return nil, err
		}
		bare := len(p.Paths) == 0
		if bare {
			p.Paths = []schema.Path{{Prompt: question(p)}}
		}
		list := make([]record, len(p.Paths))
		for i := range list {
			list[i] = record{At: place{row.Offset, i}, problem: p, path: i, row: row.JSON, bare: bare}
		}
		return list, nil
	case schema.Prediction{}.RecordType():
		var p schema.Prediction
		if err := json.Unmarshal(row.JSON, &p); err != nil {
			return nil, err
		}
		who := runrecord.SystemName(p.System, p.Kind)
		if p.Style != "" {
			who += ", " + p.Style
		}
		path := schema.Path{Style: who, Replicate: p.Sample, Reasoning: p.Reasoning, Response: p.Response, FinishReason: "stop", Pred: p.Pred, Correct: &p.Correct}
		one.student = true
		one.problem = &schema.Problem{ID: p.ID, Task: p.Task, GoldAnswer: p.Gold, Paths: []schema.Path{path}}
	}
	return []record{one}, nil
}

// question is all that a problem without paths asks.
func question(p *schema.Problem) string {
	var parts []string
	for _, s := range []string{p.Table, p.Premise, p.Hypothesis, p.Question} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	for _, c := range p.Choices {
		parts = append(parts, c.Label+") "+c.Text)
	}
	return strings.Join(parts, "\n")
}

// finder streams through an output.
type finder struct {
	run   *runrecord.Run
	out   runrecord.Output
	query query
	cond  *data.Condition
	noted noted
	until time.Time // each stops then; zero for never

	needle string // Text in lower case
	sure   []byte // what a row with it must hold, in lower case
	buf    []byte
}

func newFinder(run *runrecord.Run, out runrecord.Output, q query, noted noted) (*finder, error) {
	f := &finder{run: run, out: out, query: q, noted: noted, needle: strings.ToLower(q.Text)}
	if q.Where != "" {
		var err error
		if f.cond, err = run.Condition(out, q.Where); err != nil {
			return nil, err
		}
	}
	// Letters, digits and spaces are written the same in JSON: most rows need not be
	// decoded.
	for part := range strings.FieldsFuncSeq(f.needle, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' && r != 'k' && r != 's' || r >= '0' && r <= '9' || r == ' ') // Kelvin and long s become k and s
	}) {
		if len(part) > len(f.sure) {
			f.sure = []byte(part)
		}
	}
	return f, nil
}

// stopped is where a search stood when its time was over.
type stopped struct{ at place }

func (s stopped) Error() string { return "the search goes on at " + s.at.String() }

// each calls fn with the records from a place on, in their order, until it returns false.
// The error is stopped if the time was over before.
func (f *finder) each(ctx context.Context, from place, fn func(record) bool) error {
	n := 0
	for row, err := range f.run.Rows(f.out, from.offset, nil) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if n++; n%64 == 0 && !f.until.IsZero() && time.Now().After(f.until) {
			return stopped{place{offset: row.Offset}}
		}
		if !f.mayHold(row.JSON) {
			continue
		}
		if f.cond != nil {
			ok, err := f.cond.Holds(row.JSON)
			if err != nil {
				return fmt.Errorf("the row with id %q: %w", gjson.GetBytes(row.JSON, "id").String(), err)
			}
			if !ok {
				continue
			}
		}
		list, err := recordsOf(f.out.Record, row)
		if err != nil {
			return fmt.Errorf("the row at byte %d: %w", row.Offset, err)
		}
		for _, r := range list {
			if r.At.offset == from.offset && r.At.path < from.path || !f.holds(r) {
				continue
			}
			if !fn(r) {
				return nil
			}
		}
	}
	return nil
}

func (f *finder) mayHold(row []byte) bool {
	if len(f.sure) == 0 {
		return true
	}
	f.buf = slices.Grow(f.buf[:0], len(row))[:len(row)]
	for i, c := range row {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		f.buf[i] = c
	}
	return bytes.Contains(f.buf, f.sure)
}

func (f *finder) holds(r record) bool {
	q := f.query
	if !r.Paths() {
		return (f.needle == "" || strings.Contains(strings.ToLower(string(r.row)), f.needle)) && q.Style+q.Verdict+q.Provider == "" && (q.Mark == "" || f.noted(r).Mark == q.Mark)
	}
	p := &r.problem.Paths[r.path]
	switch {
	case q.Style != "" && p.Style != q.Style,
		q.Provider != "" && p.Provider != q.Provider,
		q.Verdict != "" && string(r.verdict()) != q.Verdict,
		q.Mark != "" && f.noted(r).Mark != q.Mark:
		return false
	case f.needle == "":
		return true
	}
	for _, s := range []string{p.Response, p.Reasoning, p.Prompt, r.problem.Question} {
		if strings.Contains(strings.ToLower(s), f.needle) {
			return true
		}
	}
	return false
}

// at reads one record.
func recordAt(ctx context.Context, run *runrecord.Run, out runrecord.Output, at place) (record, error) {
	f := finder{run: run, out: out}
	var found *record
	err := f.each(ctx, at, func(r record) bool { found = &r; return false })
	if err == nil && (found == nil || found.At != at) {
		err = notFound{fmt.Sprintf("%s has no record at %s", out.Label(), at)}
	}
	if err != nil {
		return record{}, err
	}
	return *found, nil
}
