package rowexpr

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/base/expr"
)

var fields = Fields{
	"id": String, "question": String, "gold_answer": String,
	"paths": List(Object(Fields{"style": String, "correct": Bool, "replicate": Int})),
	"judge": Object(Fields{"valid": Bool}),
}

type row map[string]any

func (r row) Field(name string) (any, bool) {
	v, ok := r[name]
	return v, ok
}

func sample() row {
	return row{
		"id": "a", "question": "How many?", "gold_answer": "7", "level": 3, "tags": []any{"x", "y"}, "task s": "odd",
		"paths": []any{
			map[string]any{"style": "cot", "correct": true, "replicate": 0, "score": 0.5},
			map[string]any{"style": "plain", "correct": false, "replicate": 1},
		},
		"judge": map[string]any{"valid": false, "note": "n"},
	}
}

func TestValue(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want any
	}{
		{`question contains "many" and level >= 3`, true},
		{`len(filter(paths, .correct))`, 1},
		{`any(paths, .style == "plain" and not .correct)`, true},
		{`"x" in tags`, true},
		{`$env["task s"]`, "odd"},
		{`$env.level + 1`, 4},
		{`absent ?? "none"`, "none"},
		{`absent == nil`, true},
		{`let n = len(paths); n * 2`, 4},
		{`question + " " + gold_answer`, "How many? 7"},
		{`join(map(paths, .style), "+")`, "cot+plain"},
		{`replace(question, "many", "few")`, "How few?"},
		{`string(level) + "!"`, "3!"},
		{`judge.note`, "n"},
		{`question matches "^How"`, true},
		{`paths[0].score > 0.25 ? "high" : "low"`, "high"},
		{`-level`, -3},
	} {
		p, err := Compile(tc.src, fields, expr.Any)
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		for range 2 { // the machine is reused
			got, err := p.Value(sample())
			if err != nil || !cmp.Equal(got, tc.want) {
				t.Errorf("%s = %v (%v), want %v", tc.src, got, err, tc.want)
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want expr.Want
		err  string
	}{
		{`len(qestion) > 3`, expr.Bool, `column 5 of the expression: unknown field "qestion"; did you mean "question"?`},
		{`any(paths, .corect)`, expr.Bool, `column 13 of the expression: unknown field "corect"; did you mean "correct"?`},
		{`lenn(question)`, expr.Any, `column 1 of the expression: there is no function "lenn" here`},
		{`uper(question)`, expr.Any, `column 1 of the expression: there is no function "uper" here; did you mean "upper"?`},
		{`now()`, expr.Any, `column 1 of the expression: there is no function "now" here`},
		{`question + 1`, expr.Any, `column 10 of the expression: invalid operation: + (between text and a number)`},
		{"level > 2 and\n question > 1", expr.Bool, `line 2, column 11 of the expression: invalid operation: > (between text and a number)`},
		{`len(question)`, expr.Bool, `the expression gives a number; it must give true or false`},
		{`len(question)`, expr.Text, `the expression gives a number; it must give text`},
		{`len(question`, expr.Any, `the expression ends too early`},
		{`question )`, expr.Any, `column 10 of the expression: unexpected ")"`},
		{`any(paths, .correct == nil)`, expr.Bool, `column 21 of the expression: this is never null: it is true or false`},
		{`keys($env)`, expr.Any, `$env stands for single fields only`},
		{`paths[0].style()`, expr.Any, `only functions can be called`},
		{strings.Repeat("1+", 2100) + "1", expr.Any, `the expression is 4201 bytes long; at most 4096 are allowed`},
		{strings.Repeat("1+", 600) + "1", expr.Any, `at most 500 nodes of its syntax are allowed`},
		{``, expr.Any, `the expression ends too early`},
	} {
		_, err := Compile(tc.src, fields, tc.want)
		var e *expr.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%.40s: got %v, want %s", tc.src, err, tc.err)
		}
	}
}

func TestRowErrors(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want expr.Want
		err  string
	}{
		{`absent > 3`, expr.Bool, `column 8 of the expression: invalid operation: null > int: a value is missing; give it a default, as in (name ?? 0)`},
		{`absent and level > 1`, expr.Bool, `true or false is needed here, not null`},
		{`absent`, expr.Bool, `the expression gives null; it must give true or false`},
		{`level`, expr.Bool, `the expression gives a number; it must give true or false`},
		{`paths[7].style`, expr.Any, `index out of range`},
		{`int(question)`, expr.Any, `invalid operation: int(How many?)`},
		{`string(tags)`, expr.Any, `a list cannot become text`},
		{`len(1..1000000)`, expr.Any, `makes lists of more than 100000 elements`},
		{`reduce(1..30, #acc + #acc, "double") == question`, expr.Bool, `makes more than 16.0 MiB of text`},
		{`let a = 1..1000; len(filter(a, any(a, # == 0)))`, expr.Any, `takes more than 100000 steps`},
	} {
		p, err := Compile(tc.src, fields, tc.want)
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		if got, err := p.Value(sample()); err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: got %v, %v, want %s", tc.src, got, err, tc.err)
		}
		if _, err := Compile(tc.src, fields, tc.want); err != nil {
			t.Errorf("%s compiles only once: %v", tc.src, err)
		}
	}
}

// TestAsksOnlyForUsedFields: a stage may make the fields of a row when they are
// asked for.
func TestAsksOnlyForUsedFields(t *testing.T) {
	p, err := Compile(`let n = len(question); n > 3 and any(paths, .style == gold_answer)`, fields, expr.Bool)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"gold_answer", "paths", "question"}, p.names); d != "" {
		t.Error(d)
	}
}

func TestUnseen(t *testing.T) {
	p, err := Compile(`level == 1 or (qustn ?? 1) == 1 or $env["pahts"] == 2`, fields, expr.Bool)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Value(sample()); err != nil {
		t.Fatal(err)
	}
	want := []Unseen{{Name: "pahts", Near: "paths"}, {Name: "qustn", Near: "question"}}
	if d := cmp.Diff(want, p.Unseen()); d != "" {
		t.Error(d)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`len(question) > 3`, `any(paths, .correct)`, `$env["x"] ?? 1`, `let a = 1; a`, "\x00", `"\u00e9" + id`, `map(paths, {"a": #})`, `if true { 1 } else { 2 }`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		alloctest.Within(t, len(src), 20_000, 256<<20, func() {
			p, err := Compile(src, fields, expr.Any)
			if err != nil {
				var e *expr.Error
				if !errors.As(err, &e) {
					t.Fatalf("%q: %T is not an *expr.Error", src, err)
				}
				return
			}
			_, _ = p.Value(sample())
		})
	})
}

func BenchmarkFilter(b *testing.B) {
	p, err := Compile(`len(question) < 500 and level >= 2`, fields, expr.Bool)
	if err != nil {
		b.Fatal(err)
	}
	r := sample()
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.Bool(r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
