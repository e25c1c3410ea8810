package recipetest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/stage"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("more.yaml", "- {match: x, answer: one}\n- {id: 7, verdict: valid}\n")
	write("r.answers.jsonl", `{"id":"a","answer":"recorded"}`+"\n")
	path := write("r.test.yaml", `profile: full
params: {n: 1e3, on: true}
teacher: more.yaml
cases:
  - name: one
    seed: 7
    params: {n: 3, list: [a, "b: c"], text: "1"}
    until: [graded, other]
    teacher: {id: a, replicate: 0, try: 1, answer: first}
    expect:
      graded.correct:
        count: {min: 1}
        all: [true, len(id) > 0]
  - profile: small
    teacher: [own.jsonl, more.yaml]
    expect: {x: {skipped: false, fields: id, count: 0}}
`)
	f, diags := Read(path)
	if len(diags) > 0 {
		t.Fatal(diags.Error())
	}
	one, two := f.Cases[0], f.Cases[1]
	var params []string
	for _, p := range one.Params {
		params = append(params, p.Name.Text+"="+p.Text)
	}
	if d := cmp.Diff([]string{"n=1e3", "on=true", "n=3", `list=["a","b: c"]`, `text="1"`}, params); d != "" {
		t.Error(d)
	}
	if one.Name != "one" || one.Profile != "full" || *one.Seed != 7 || len(one.Until) != 2 || one.Pos.Line != 5 {
		t.Errorf("%+v", one)
	}
	var checks []string
	for _, c := range append(one.Checks, two.Checks...) {
		checks = append(checks, c.Port.Text+" "+c.String())
	}
	if d := cmp.Diff([]string{"graded.correct count: {min: 1}", "graded.correct all: true", "graded.correct all: len(id) > 0",
		"x skipped: false", "x fields: [id]", "x count: 0"}, checks); d != "" {
		t.Error(d)
	}
	// The case's answers go first, then the file's, then the recorded ones.
	var answers []string
	for _, src := range one.Teacher {
		for _, a := range src.Answers {
			answers = append(answers, a.ID+a.Match+" "+a.Text+a.Verdict)
		}
	}
	if d := cmp.Diff([]string{"a first", "x one", "7 valid", "a recorded"}, answers); d != "" {
		t.Error(d)
	}
	if one.Record != filepath.Join(dir, "r.answers.jsonl") || two.Record != filepath.Join(dir, "own.jsonl") || two.Name != "case 2" || two.Profile != "small" {
		t.Errorf("%q, %q, %q", one.Record, two.Record, two.Name)
	}
}

func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "the test file is empty",
		"cases: []":                           "has no `cases`",
		"case: []":                            `unknown key "case"`,
		"cases: [{name: a}]":                  "the case expects nothing",
		"cases: [a]":                          "a case is a map",
		"cases: [{expect: {a: 3}}]":           "what is expected of a port is a map",
		"cases: [{expect: {a: {}}}]":          "a expects nothing",
		"cases: [{expect: {a: {count: -1}}}]": "`count` is a number of rows",
		"cases: [{expect: {a: {count: {min: 3, max: 2}}}}]":                               "min 3 is above max 2",
		"cases: [{expect: {a: {digest: abc}}}]":                                           `"abc" is not a digest`,
		"cases: [{expect: {a: {skipped: 1}}}]":                                            "`skipped` is true or false",
		"cases: [{expect: {a: {all: any(paths, .correct)}}}]":                             "needs quotes",
		"cases: [{teacher: {answer: x}, expect: {a: {count: 1}}}]":                        "does not say which request",
		"cases: [{teacher: {id: a, anwser: x}, expect: {a: {count: 1}}}]":                 `did you mean`,
		"cases: [{teacher: absent.yaml, expect: {a: {count: 1}}}]":                        "reading recorded answers",
		"cases: [{teacher: [3], expect: {a: {count: 1}}}]":                                "`teacher` names files",
		"cases: [{seed: -1, expect: {a: {count: 1}}}]":                                    "a seed is not negative",
		"cases: [{name: a, expect: {a: {count: 1}}}, {name: a, expect: {b: {count: 1}}}]": `two cases are called "a"`,
		"cases: [": "yaml-syntax",
	} {
		f := &File{Path: "t.test.yaml", Sources: &diag.Sources{}}
		diags := f.parse([]byte(text))
		var b strings.Builder
		if err := diags.Render(&b, f.Sources); err != nil {
			t.Fatal(err)
		}
		if !diags.HasErrors() || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s\nwant %q", text, b.String(), want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cases: [{name: a, params: {x: [1, {b: c}]}, teacher: {id: a, answer: x}, expect: {a: {count: {min: 1}, all: [x, y]}}}]")
	f.Add("cases:\n  - expect: {a: {digest: 1}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := &File{Path: "t.test.yaml", Sources: &diag.Sources{}}
		diags := file.parse([]byte(text))
		if !diags.HasErrors() && len(file.Cases) == 0 {
			t.Errorf("%q has no cases and no mistake", text)
		}
	})
}

func TestJudge(t *testing.T) {
	rows := `{"style":"cot","n":1,"who":{"a.b":[{"c":1},{"c":null}]}}
{"style":"plain","n":3,"long":"` + strings.Repeat("ü", 100) + `"}
`
	for _, tc := range []struct {
		check Check
		got   string // "" if it holds
		rows  []Row
		note  string
	}{
		{Check{Kind: Count, Min: 2, Max: 2}, "", nil, ""},
		{Check{Kind: Count, Min: 0, Max: 1}, "2 rows", nil, ""},
		{Check{Kind: Count, Min: 3, Max: -1}, "2 rows", nil, ""},
		{Check{Kind: Fields, Names: []string{"style", "n"}}, "", nil, ""},
		{Check{Kind: Fields, Names: []string{"style", "long"}}, "long is missing in 1 of 2 rows", []Row{{1, `{"style":"cot"}`}}, ""},
		{Check{Kind: Fields, Names: []string{"who.c"}}, "who.c is missing in 2 of 2 rows", []Row{{1, `{"who":{"a.b":[{"c":1},{"c":null}]}}`}, {2, `{}`}}, ""},
		{Check{Kind: All, Expr: "n >= 1"}, "", nil, ""},
		{Check{Kind: All, Expr: `style == "cot"`}, "false for 1 of 2 rows", []Row{{2, `{"style":"plain"}`}}, ""},
		{Check{Kind: All, Expr: `(long ?? "") == ""`}, "false for 1 of 2 rows", []Row{{2, `{"long":"` + strings.Repeat("ü", 59) + `…"}`}}, ""},
		{Check{Kind: Any, Expr: "n == 3"}, "", nil, ""},
		{Check{Kind: Any, Expr: "n > 3"}, "true for none of 2 rows", []Row{{1, `{"n":1}`}, {2, `{"n":3}`}}, ""},
		{Check{Kind: Any, Expr: `weight == 3`}, "true for none of 2 rows", []Row{{1, `{}`}, {2, `{}`}}, `no row has the field "weight"`},
		{Check{Kind: None, Expr: "n > 3"}, "", nil, ""},
		{Check{Kind: None, Expr: "n == 1"}, "true for 1 of 2 rows", []Row{{1, `{"n":1}`}}, ""},
		{Check{Kind: All, Expr: "long > 3"}, "row 1: column 6 of the expression", []Row{{1, `{}`}}, ""},
		{Check{Kind: Digest, Digest: "sha256:a"}, "", nil, ""},
		{Check{Kind: Digest, Digest: "sha256:b"}, "sha256:a", nil, ""},
	} {
		f, err := tc.check.Judge(Output{Label: "s.p", Record: "rate", Rows: 2, Digest: "sha256:a",
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(rows)), nil }})
		switch {
		case err != nil:
			t.Errorf("%s: %v", tc.check, err)
		case (f == nil) != (tc.got == ""):
			t.Errorf("%s: %+v, want %q", tc.check, f, tc.got)
		case f != nil && (!strings.HasPrefix(f.Got, tc.got) || f.Note != tc.note):
			t.Errorf("%s: got %q (%s), want %q (%s)", tc.check, f.Got, f.Note, tc.got, tc.note)
		case f != nil && tc.check.Kind != Count:
			if d := cmp.Diff(tc.rows, f.Rows); d != "" {
				t.Errorf("%s: %s", tc.check, d)
			}
		}
	}
	if _, err := (Check{Kind: All, Expr: "stile == 1"}).Judge(Output{Record: "rate", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(rows)), nil
	}}); err == nil || !strings.Contains(err.Error(), `did you mean "style"`) {
		t.Errorf("a slip in a name: %v", err)
	}
}

func TestCheckPort(t *testing.T) {
	rows := stage.Port{Name: "all", Kind: stage.RowsPort, Record: "problem"}
	folder := stage.Port{Name: "dir", Kind: stage.DirPort}
	for _, tc := range []struct {
		check Check
		port  stage.Port
		ok    bool
	}{
		{Check{Kind: All, Expr: "len(question) > 1"}, rows, true},
		{Check{Kind: All, Expr: "len(qestion) > 1"}, rows, false},
		{Check{Kind: None, Expr: "len(question)"}, rows, false},
		{Check{Kind: Count}, rows, true},
		{Check{Kind: Count}, folder, false},
		{Check{Kind: Any, Expr: "true"}, folder, false},
		{Check{Kind: Digest}, folder, true},
		{Check{Kind: Skipped}, folder, true},
	} {
		if err := tc.check.CheckPort(tc.port); (err == nil) != tc.ok {
			t.Errorf("%s on %s: %v", tc.check, tc.port.Name, err)
		}
	}
}
