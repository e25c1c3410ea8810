package data

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// run runs scan and returns its result, its rows and its warnings.
func run(t *testing.T, ctx context.Context, cfg scanConfig) (stage.Result, []schema.Problem, []string, error) {
	t.Helper()
	dir := t.TempDir()
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(Scan)
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	out := map[string]string{"problems": filepath.Join(dir, "p"), "quarantine": filepath.Join(dir, "q")}
	res, err := reg.Run(ctx, stage.Task{Stage: "s", Type: "scan", Version: Scan.Version, Config: b, Outputs: out},
		stage.Services{Warn: func(s string) { warnings = append(warnings, s) }})
	var rows []schema.Problem
	for r, rerr := range stage.RowsFrom[schema.Problem](out["problems"], "problems").All() {
		if rerr != nil {
			t.Fatal(rerr)
		}
		rows = append(rows, r)
	}
	return res, rows, warnings, err
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestScanReportsRepairsAndBadLines(t *testing.T) {
	p := write(t, t.TempDir(), "rows.jsonl", `{"id":"a","question":"q","answer":"\boxed{1}","solution":"\frac{1}{1} \boxed{1}"}`+"\nbroken\n")
	res, rows, warnings, err := run(t, t.Context(), scanConfig{Root: stage.Path(p), Task: "math", OnError: "skip"})
	if err != nil || len(rows) != 1 || rows[0].GoldAnswer != "1" {
		t.Fatalf("%v, %+v", err, rows)
	}
	if res.Stats["repaired_escapes"] != 3 || res.Stats["bad_lines"] != 1 || len(warnings) != 2 {
		t.Errorf("stats %v, warnings %q", res.Stats, warnings)
	}
	if w := strings.Join(warnings, "\n"); !strings.Contains(w, "rows.jsonl:1") || !strings.Contains(w, "rows.jsonl:2: not valid JSON") {
		t.Errorf("warnings lack the places: %s", w)
	}
}

func TestScanVeryLongLine(t *testing.T) {
	long := strings.Repeat("many words ", 1<<17)
	p := write(t, t.TempDir(), "rows.jsonl", `{"id":"a","question":"`+long+`?","answer":"1"}`+"\n"+`{"id":"b","question":"q","answer":"2"}`)
	_, rows, _, err := run(t, t.Context(), scanConfig{Root: stage.Path(p), Task: "gsm8k", OnError: "error"})
	if err != nil || len(rows) != 2 || len(rows[0].Question) != len(long)+1 {
		t.Fatalf("%v, %d rows", err, len(rows))
	}
}

func TestScanDeepNestingIsAnError(t *testing.T) {
	p := write(t, t.TempDir(), "rows.jsonl", strings.Repeat("[", 1<<20)+"\n")
	if _, _, _, err := run(t, t.Context(), scanConfig{Root: stage.Path(p), Task: "gsm8k", OnError: "error"}); err == nil || !strings.Contains(err.Error(), "rows.jsonl:1") {
		t.Fatalf("%v", err)
	}
}

func TestScanStopsWhenCancelled(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "{\"id\":\"%d\",\"question\":\"q\",\"answer\":\"1\"}\n", i)
	}
	p := write(t, t.TempDir(), "rows.jsonl", b.String())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, rows, _, err := run(t, ctx, scanConfig{Root: stage.Path(p), Task: "gsm8k", OnError: "error"})
	if !errors.Is(err, context.Canceled) || len(rows) > 300 {
		t.Errorf("%v after %d rows", err, len(rows))
	}
}

func TestScanConfig(t *testing.T) {
	for name, c := range map[string]struct {
		tree map[string]any
		want string
	}{
		"hub":          {map[string]any{"root": "hf://gsm8k#train", "task": "gsm8k"}, "is not owner/name"},
		"resolved hub": {map[string]any{"root": filepath.Join("/recipes", "hf://openai/gsm8k@"), "task": "gsm8k"}, "hf://openai/gsm8k@: the revision after @ is empty"},
		"no root":      {map[string]any{"task": "gsm8k"}, `"root" is required`},
		"no task":      {map[string]any{"root": "x"}, `"task" is required`},
		"wrong task":   {map[string]any{"root": "x", "task": "gsm8"}, `"gsm8" is neither a preset`},
		"policy":       {map[string]any{"root": "x", "task": "gsm8k", "on_error": "ignore"}, `"ignore" is not one of error, skip, quarantine`},
		"limit":        {map[string]any{"root": "x", "task": "gsm8k", "limit": -1}, "limit: -1 is out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := Scan.Decode(c.tree)
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want) {
				t.Fatalf("got %v, want %q", errs, c.want)
			}
		})
	}
}

// What has no end is not read, whatever names it: a root, or a table in a row.
func TestOnlyFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "rows.jsonl", `{"question":"How many?","table":"t.txt","answer":"1"}`)
	if err := os.Symlink(os.DevNull, filepath.Join(dir, "t.txt")); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := run(t, t.Context(), scanConfig{Root: stage.Path(filepath.Join(dir, "rows.jsonl")), Task: "table_mwp", OnError: "error"})
	if err == nil || !strings.Contains(err.Error(), `table "t.txt": not a regular file`) {
		t.Error(err)
	}
	if _, err := listFiles(t.Context(), os.DevNull, false); err == nil || !strings.Contains(err.Error(), "neither a file nor a folder") {
		t.Error(err)
	}
}

func TestExternals(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b.jsonl", `{"table":"tables/2.txt"}`+"\nbroken\n"+`{"table":"a | b"}`+"\n"+`{"table":"../out.txt"}`+"\n"+`{"table":"gone.txt"}`)
	write(t, dir, "sub/a.jsonl", `{"table":"t.csv"}`+"\n"+`{"table":"t.csv"}`)
	write(t, dir, "tables/2.txt", "x | y")
	write(t, dir, "sub/t.csv", "x,y")
	write(t, dir, "train/c.jsonl", "")
	names := func(root, task string) string {
		t.Helper()
		ext, err := scanConfig{Root: stage.Path(root), Task: task}.Externals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range ext {
			if _, err := os.Stat(e.Path); err != nil {
				t.Error(err)
			}
			out = append(out, e.Name)
		}
		return strings.Join(out, ",")
	}
	if got := names(dir, "gsm8k"); got != "b.jsonl,sub/a.jsonl" {
		t.Error(got)
	}
	if got := names(dir, "table_mwp"); got != "b.jsonl,sub/a.jsonl,sub/t.csv,tables/2.txt" {
		t.Error(got)
	}
	if got := names(filepath.Join(dir, "b.jsonl"), "table_mwp"); got != ",tables/2.txt" {
		t.Error(got)
	}
	_, err := scanConfig{Root: stage.Path(filepath.Join(dir, "nowhere"))}.Externals(t.Context())
	if errs := stage.FieldErrors(err); len(errs) != 1 || errs[0].Path[0] != "root" {
		t.Errorf("a missing root must point at its field: %v", err)
	}
	for _, bad := range []string{"[", "*/[a"} {
		if _, err := listFiles(t.Context(), filepath.Join(dir, bad), false); err == nil || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLinksAreFollowedWhereNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "real/a.jsonl", `{"id":"a","question":"q","answer":"1"}`)
	if err := os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	files, err := listFiles(t.Context(), filepath.Join(dir, "link"), false)
	if err != nil || len(files) != 1 || files[0].name != "a.jsonl" {
		t.Errorf("%v, %v", files, err)
	}
}

func TestRepairEscapes(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"\boxed{1}"}`:                   `{"a":"\\boxed{1}"}`,
		`{"a":"\\boxed{1}"}`:                  `{"a":"\\boxed{1}"}`,
		`{"a":"\\\boxed{1}"}`:                 `{"a":"\\\\boxed{1}"}`,
		`{"a":"\u0008oxed \u000Crac"}`:        `{"a":"\\boxed \\frac"}`,
		`{"a":"\text{m} \times \theta"}`:      `{"a":"\\text{m} \\times \\theta"}`,
		`{"a":"left\right) \right now"}`:      `{"a":"left\\right) \right now"}`,
		`{"a":"tab\tand\nnew\fline \b gone"}`: `{"a":"tab\tand\nnew\fline \b gone"}`,
		`{"a":"\u00e9\u"`:                     `{"a":"\u00e9\u"`,
		`\`:                                   `\`,
	} {
		got, n := repairEscapes([]byte(in))
		if string(got) != want || (n > 0) != (in != want) {
			t.Errorf("%s became %s (%d), want %s", in, got, n, want)
		}
	}
}

func FuzzParseRow(f *testing.F) {
	cases, err := filepath.Glob(filepath.Join("testdata", "scan", "*", "*.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		b, err := os.ReadFile(c)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			f.Add([]byte(line))
		}
	}
	quiz := &task.Task{Answer: task.Choice, Fields: map[string]string{"question": "messages ?? stem", "choices": "[A, B]", "gold": "answer - 1 ?? key[0]"}}
	own, err := importConfig{Task: "quiz", Declared: quiz, Fields: map[string]string{"response": "map(messages, .content)", "style": "messages[0].role"}}.task()
	if err != nil {
		f.Fatal(err)
	}
	tasks := task.Presets()
	f.Fuzz(func(t *testing.T, line []byte) {
		if schema.CheckJSON(line) != nil {
			return
		}
		fixed, _ := repairEscapes(line)
		if err := schema.CheckJSON(fixed); err != nil {
			t.Fatalf("a repair broke the JSON: %v\n%s\n%s", err, line, fixed)
		}
		for _, task := range tasks {
			rt, err := declaredTask(task, nil)
			if err != nil {
				t.Fatal(err)
			}
			row, _, err := parseRow(fixed, rt, "testdata")
			if err != nil {
				continue
			}
			b, err := row.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			var back schema.Problem
			if err := back.UnmarshalJSON(b); err != nil {
				t.Fatalf("%s: cannot read back: %v\n%s", task, err, b)
			}
			if back.GoldAnswer == "" {
				t.Fatalf("%s: a row without a gold answer passed: %s", task, line)
			}
		}
		for _, rt := range []rowTask{{}, own} {
			row, err := (&importer{task: rt}).parse(line)
			if err != nil {
				continue
			}
			b, err := row.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := new(schema.Problem).UnmarshalJSON(b); err != nil {
				t.Fatalf("imported, cannot read back: %v\n%s", err, b)
			}
		}
	})
}

// FuzzCompact compares with encoding/json: ids made from content depend on it.
func FuzzCompact(f *testing.F) {
	for _, s := range []string{`{ "a" : [ 1 , "b \" c\\" ] , "é":"x y" }`, "\t{\"a\":\n1}\r\n", `"\\"`, `[ ]`, `{"question": "q1","answer":"1"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var want bytes.Buffer
		if json.Compact(&want, line) != nil {
			return
		}
		if got := compact(nil, line); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%q became %q, want %q", line, got, want.Bytes())
		}
	})
}

func TestScanGolden(t *testing.T) { stagetest.Golden(t, Scan) }
