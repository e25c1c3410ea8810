package stage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

type rec struct {
	N int `json:"n"`
}

func (rec) RecordType() string { return "rec" }

type part struct {
	Name string  `json:"name" required:"true" doc:"A name."`
	Rate float64 `json:"rate" default:"0.5" min:"0" max:"1" doc:"A rate."`
}

// Shared is embedded, as options that several stages have in common are.
type Shared struct {
	Common string `json:"common" default:"c" doc:"A shared option."`
	Quiet  bool   `json:"quiet" semantic:"false" doc:"Cannot matter."`
}

type config struct {
	Shared
	Text   string         `json:"text" default:"hello" doc:"A text."`
	Mode   string         `json:"mode" default:"slow" choices:"slow|fast" doc:"A choice."`
	Count  int            `json:"count" default:"3" min:"1" doc:"A count."`
	Seed   uint64         `json:"seed" doc:"A large number."`
	On     bool           `json:"on" doc:"A switch."`
	Jobs   int            `json:"jobs" default:"4" semantic:"false" doc:"Cannot matter."`
	File   stage.Path     `json:"file" doc:"A file."`
	List   []string       `json:"list" default:"[\"a\",\"b\"]" doc:"A list."`
	Parts  []part         `json:"parts" doc:"Parts."`
	One    part           `json:"one" default:"{\"name\":\"one\"}" doc:"A part."`
	Map    map[string]int `json:"map" doc:"A map."`
	Maybe  *float64       `json:"maybe" doc:"Absent by default."`
	Anyway any            `json:"anyway" doc:"Anything."`
}

func (c *config) Validate() error {
	if c.Text == "bad" {
		return errors.Join(stage.Invalid("text", "must not be bad"), stage.Invalid("one.name", "nor this"))
	}
	return nil
}

func (c *config) Externals(context.Context) ([]stage.External, error) { return nil, nil }

type in struct {
	Rows stage.Rows[rec] `port:"rows" doc:"Rows."`
}

type out struct {
	Rows *stage.Writer[rec] `port:"rows" doc:"Rows."`
	Dir  *stage.OutDir      `port:"dir" doc:"A folder."`
}

func double(_ context.Context, env *stage.Env, c config, in in, out out) error {
	for r, err := range in.Rows.All() {
		if err != nil {
			return err
		}
		if err := out.Rows.Write(rec{r.N * c.Count}); err != nil {
			return err
		}
	}
	env.AddStat("calls", 2)
	return os.WriteFile(filepath.Join(out.Dir.Path, "note"), []byte(c.Text), 0o644)
}

var doubleType = stage.Define(stage.Spec{Type: "double", Version: 2, Class: stage.Pure, Doc: "Doubles."}, double)

func TestDecodeFillsDefaults(t *testing.T) {
	c, errs := doubleType.Decode(map[string]any{
		"parts": []any{map[string]any{"name": "x"}, map[string]any{"name": "y", "rate": 1}},
		"maybe": 0, "seed": uint64(1<<63 + 1), "map": map[string]any{"k": int64(2)},
	})
	if errs != nil {
		t.Fatal(errs)
	}
	zero := 0.0
	want := config{
		Shared: Shared{Common: "c"}, Text: "hello", Mode: "slow", Count: 3, Jobs: 4, List: []string{"a", "b"}, Seed: 1<<63 + 1,
		Parts: []part{{"x", 0.5}, {"y", 1}}, One: part{"one", 0.5}, Map: map[string]int{"k": 2}, Maybe: &zero,
	}
	if d := cmp.Diff(want, c.Value()); d != "" {
		t.Error(d)
	}
	// A config survives its own JSON, as a task in another process needs.
	raw, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"seed":9223372036854775809`) {
		t.Errorf("JSON loses digits: %s", raw)
	}
}

func TestDecodeReportsEverything(t *testing.T) {
	for _, c := range []struct {
		name string
		tree any
		want []string
	}{
		{"not a map", "x", []string{`must be a map with the fields common, quiet, text, mode, count, seed, on, jobs, file, list, parts, one, map, maybe, anyway, not the string "x"`}},
		{"several", map[string]any{"text": 1, "count": 0, "mode": "quick", "nope": 1}, []string{
			`nope: unknown field "nope"`, `text: must be a string, not the number 1`,
			`mode: "quick" is not one of slow, fast`, `count: 0 is out of range: at least 1`,
		}},
		{"nested", map[string]any{"parts": []any{map[string]any{"rate": 2}}}, []string{
			`parts.0: field "name" is required: A name.`, `parts.0.rate: 2 is out of range: from 0 to 1`,
		}},
		{"numbers", map[string]any{"count": 1.5, "seed": -1, "on": "yes"}, []string{
			`count: must be a whole number, not the number 1.5`, `seed: must be a whole number from 0 to 2^64-1, not the number -1`,
			`on: must be true or false, not the string "yes"`,
		}},
		{"validate", map[string]any{"text": "bad"}, []string{"text: must not be bad", "one.name: nor this"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := doubleType.Decode(c.tree)
			var got []string
			for _, e := range errs {
				got = append(got, e.Error())
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// lentError is what a library that does not import this package returns.
type lentError struct{}

func (lentError) Error() string                   { return "common: is odd" }
func (lentError) ConfigField() (path, msg string) { return "shared.common", "is odd" }

func TestFieldErrors(t *testing.T) {
	err := errors.Join(
		errors.Join(lentError{}, stage.Invalid("text", "is bad")),
		fmt.Errorf("checking: %w", lentError{}), errors.New("plain"))
	want := []stage.FieldError{
		{Path: []string{"shared", "common"}, Msg: "is odd"}, {Path: []string{"text"}, Msg: "is bad"},
		{Path: []string{"shared", "common"}, Msg: "is odd"}, {Msg: "plain"},
	}
	if d := cmp.Diff(want, stage.FieldErrors(err)); d != "" {
		t.Error(d)
	}
	if got := stage.FieldErrors(nil); got != nil {
		t.Errorf("nil gives %v", got)
	}
}

func TestSemanticLeavesDefaultsOut(t *testing.T) {
	semantic := func(tree map[string]any) map[string]string {
		t.Helper()
		c, errs := doubleType.Decode(tree)
		if errs != nil {
			t.Fatal(errs)
		}
		m, err := c.Semantic()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for k, v := range m {
			out[k] = string(v)
		}
		return out
	}
	same := []map[string]any{
		{}, {"text": "hello"}, {"jobs": 9}, {"file": ""}, {"list": []any{"a", "b"}}, {"count": 3.0}, {"quiet": true},
	}
	for _, tree := range same {
		if got := semantic(tree); len(got) != 0 {
			t.Errorf("%v gives %v", tree, got)
		}
	}
	got := semantic(map[string]any{"count": 4, "file": "elsewhere", "common": "x", "one": map[string]any{"name": "two"}, "parts": []any{map[string]any{"name": "p", "rate": 0.5}}})
	want := map[string]string{"count": "4", "file": `"(given)"`, "common": `"x"`, "one.name": `"two"`, "parts.len": "1", "parts.0.name": `"p"`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRunTask(t *testing.T) {
	reg, err := stage.NewRegistry(doubleType)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "in.jsonl")
	task := stage.Task{
		Stage: "d", Type: "double", Version: 2, Config: []byte(`{"text":"note"}`),
		Inputs:  map[string][]stage.Input{"rows": {{Path: src, Label: "up.rows"}}},
		Outputs: map[string]string{"rows": filepath.Join(dir, "out.jsonl"), "dir": filepath.Join(dir, "d")},
		WorkDir: filepath.Join(dir, "w"),
	}
	write(t, src, "\ufeff{\"n\":1}\r\n\n  {\"n\":2}")
	res, err := reg.Run(context.Background(), task, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Rows["rows"] != 2 || res.Stats["calls"] != 2 {
		t.Errorf("result %+v", res)
	}
	if b, _ := os.ReadFile(task.Outputs["rows"]); string(b) != "{\"n\":3}\n{\"n\":6}\n" {
		t.Errorf("rows %q", b)
	}

	write(t, src, "{\"n\":1}\n{\"n\":\"x\"}\n")
	_, err = reg.Run(context.Background(), task, stage.Services{})
	var rowErr *stage.RowError
	if !errors.As(err, &rowErr) || rowErr.Line != 2 || rowErr.Source != "up.rows" {
		t.Errorf("error %v", err)
	}

	bad := task
	bad.Version = 1
	if _, err := reg.Run(context.Background(), bad, stage.Services{}); err == nil {
		t.Error("a task of another version was run")
	}
	bad = task
	bad.Inputs = nil
	if _, err := reg.Run(context.Background(), bad, stage.Services{}); err == nil || !strings.Contains(err.Error(), `"rows" is not connected`) {
		t.Errorf("error %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRegistryReportsMistakes(t *testing.T) {
	type undocumented struct {
		A int `json:"a"`
	}
	type badDefault struct {
		A int `json:"a" default:"x" doc:"A."`
	}
	spec := func(name string) stage.Spec {
		return stage.Spec{Type: name, Version: 1, Class: stage.Pure, Doc: "D."}
	}
	_, err := stage.NewRegistry(
		doubleType, doubleType,
		stage.Define(spec("Bad_Name"), double),
		stage.Define(spec("undocumented"), func(context.Context, *stage.Env, undocumented, in, out) error { return nil }),
		stage.Define(spec("default"), func(context.Context, *stage.Env, badDefault, in, out) error { return nil }),
		stage.Define(spec("swapped"), func(context.Context, *stage.Env, config, out, in) error { return nil }),
		stage.Define(spec("sink"), func(context.Context, *stage.Env, config, in, struct{}) error { return nil }),
		stage.Define(stage.Spec{Type: "bare"}, double),
	)
	for _, want := range []string{"double\" is defined twice", "Bad_Name", "needs a doc tag", `default "x"`, "wrong side", "no output", "needs a version"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestRandStreams(t *testing.T) {
	a := stage.NewEnv(1, "", stage.Services{})
	b := stage.NewEnv(2, "", stage.Services{})
	if a.Rand("x").Uint64() != a.Rand("x").Uint64() {
		t.Error("one stream, two beginnings")
	}
	if a.Rand("x").Uint64() == a.Rand("y").Uint64() || a.Rand("x").Uint64() == b.Rand("x").Uint64() {
		t.Error("streams are not independent")
	}
}

var manyX = strings.Repeat("x", 64<<10)

// noEnd is a text of one line that does not end.
type noEnd struct{ n int }

func (r *noEnd) Read(p []byte) (int, error) {
	n := copy(p, manyX)
	r.n += n
	return n, nil
}

func TestLineWithoutEnd(t *testing.T) {
	r, lines := &noEnd{}, 0
	alloctest.Within(t, stage.MaxLine, 8, 0, func() {
		for _, err := range stage.Lines(r) {
			if lines++; err == nil || !strings.Contains(err.Error(), "line 1 is longer than 256 MiB") {
				t.Error(err)
			}
		}
	})
	if lines != 1 || r.n > 2*stage.MaxLine {
		t.Errorf("%d lines, %d bytes read", lines, r.n)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a\nb\r\n\n\ufeff{}")
	f.Add("\ufeff")
	f.Add(strings.Repeat("x", 300<<10) + "\ny")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for l, err := range stage.Lines(strings.NewReader(text)) {
			if err != nil {
				t.Fatal(err)
			}
			if l.Number <= last || len(l.Text) == 0 || !strings.Contains(text, string(l.Text)) {
				t.Fatalf("line %d %q after %d", l.Number, l.Text, last)
			}
			last = l.Number
		}
		if want := strings.Count(text, "\n") + 1; last > want {
			t.Fatalf("line %d of %d", last, want)
		}
	})
}
