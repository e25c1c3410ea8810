package recipe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/expr"
)

// mustParse parses a recipe that must be right.
func mustParse(t *testing.T, file, src string, opts Options) *Recipe {
	t.Helper()
	r, diags := Parse(file, []byte(src), opts)
	if len(diags) > 0 {
		var b strings.Builder
		_ = diags.Render(&b, r.Sources)
		t.Fatalf("unexpected diagnostics:\n%s", b.String())
	}
	return r
}

// with parses a recipe whose stage s has the given `with:` and gives its fields.
func with(t *testing.T, head, body string, opts Options) map[string]any {
	t.Helper()
	r := mustParse(t, "dir/r.yaml", head+"\nstages:\n  s:\n    uses: x\n    with:\n"+body, opts)
	return r.Stages[0].With.Interface().(map[string]any)
}

const demo = `# yaml-language-server: $schema=../schema/recipe.schema.json
name: gsm8k
description: Multi-style.
seed: 42
params:
  data:    {type: path, default: data/train.jsonl, help: "folder or file"}
  teacher: {default: simulated}
  styles:  {default: [cot, code]}
  lr:      {type: float, default: 1}
  full:    false
profiles:
  full: {data: "hf://openai/gsm8k#train", teacher: gemini/pro, full: true}
stages:
  problems: {uses: scan, with: {root: "${{ params.data }}", task: gsm8k}}
  prompts:  {uses: wrap-cot, from: problems, with: {styles: "${{ params.styles }}", lr: "${{ params.lr }}"}}
  graded:   {uses: verify-math, from: prompts, save: runs/gsm8k/}
  judged:
    uses: judge
    from: graded.correct
    when: params.full
    with: {model: "${{ params.teacher }}"}
  scores:   {uses: evaluate, from: {models: judged.valid, problems: [problems, prompts.all]}}
`

func TestParse(t *testing.T) {
	r := mustParse(t, "recipes/demo.yaml", demo, Options{})
	if r.Name != "gsm8k" || r.Description != "Multi-style." || !r.HasSeed || r.Seed != 42 || r.Dir != "recipes" {
		t.Errorf("head: %+v", r)
	}
	var names []string
	for _, s := range r.Stages {
		names = append(names, fmt.Sprintf("%s:%s:%v", s.Name, s.Uses, s.Skip))
	}
	if diff := cmp.Diff([]string{"problems:scan:false", "prompts:wrap-cot:false", "graded:verify-math:false", "judged:judge:true", "scores:evaluate:false"}, names); diff != "" {
		t.Error(diff)
	}

	root := r.Stage("problems").With.Lookup("root")
	if root.Str != "data/train.jsonl" || root.Path() != filepath.Join("recipes", "data/train.jsonl") || root.FromParam() != "data" {
		t.Errorf("root: %+v path %q", root, root.Path())
	}
	if want := (diag.Pos{File: "recipes/demo.yaml", Line: 14, Col: 39}); root.Pos != want {
		t.Errorf("place of use %v, want %v", root.Pos, want)
	}
	if want := (diag.Pos{File: "recipes/demo.yaml", Line: 6, Col: 34}); root.ParamPos() != want {
		t.Errorf("place of the default %v, want %v", root.ParamPos(), want)
	}
	if root.Expr() != "${{ params.data }}" {
		t.Errorf("expr %q", root.Expr())
	}

	prompts := r.Stage("prompts").With
	if diff := cmp.Diff(map[string]any{"styles": []any{"cot", "code"}, "lr": 1.0}, prompts.Interface()); diff != "" {
		t.Errorf("a whole expression loses its type: %s", diff)
	}
	graded := r.Stage("graded")
	if graded.Save != "runs/gsm8k/" || graded.SavePath() != "recipes/runs/gsm8k/" {
		t.Errorf("save %q -> %q", graded.Save, graded.SavePath())
	}

	at := func(line, col int) diag.Pos { return diag.Pos{File: "recipes/demo.yaml", Line: line, Col: col} }
	wantEdges := []Edge{
		{Port: "models", PortPos: at(22, 37), Stage: "judged", OutPort: "valid", Pos: at(22, 45), OutPos: at(22, 52)},
		{Port: "problems", PortPos: at(22, 59), Stage: "problems", Pos: at(22, 70), OutPos: at(22, 70), InList: true},
		{Port: "problems", PortPos: at(22, 59), Stage: "prompts", OutPort: "all", Pos: at(22, 80), OutPos: at(22, 88), InList: true},
	}
	if diff := cmp.Diff(wantEdges, r.Stage("scores").From); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if e := r.Stage("graded").From[0]; e.Port != "" || e.Ref() != "prompts" || e.Pos != at(16, 39) {
		t.Errorf("edge %+v", e)
	}
}

func TestProfileAndSet(t *testing.T) {
	r := mustParse(t, "recipes/demo.yaml", demo, Options{Profile: "full", Set: []string{"teacher=openai/x", "styles=[plain]", "lr=0.5"}})
	if r.Profile != "full" || r.Stage("judged").Skip {
		t.Errorf("profile %q, judged skipped: %v", r.Profile, r.Stage("judged").Skip)
	}
	root := r.Stage("problems").With.Lookup("root")
	if root.Path() != "hf://openai/gsm8k#train" {
		t.Errorf("locator became %q", root.Path())
	}
	model := r.Stage("judged").With.Lookup("model")
	if model.Str != "openai/x" || model.FromParam() != "teacher" || model.ParamPos().String() != "--set:1:9" {
		t.Errorf("model %+v from %v", model, model.ParamPos())
	}
	origins := map[string]Origin{}
	for _, p := range r.Params {
		origins[p.Name] = p.Origin
	}
	want := map[string]Origin{"data": FromProfile, "teacher": FromSet, "styles": FromSet, "lr": FromSet, "full": FromProfile}
	if diff := cmp.Diff(want, origins); diff != "" {
		t.Error(diff)
	}
}

func TestPathsOfSet(t *testing.T) {
	r := mustParse(t, "recipes/demo.yaml", demo, Options{WorkDir: "work", Set: []string{"data=mine/a.jsonl"}})
	if got := r.Stage("problems").With.Lookup("root").Path(); got != filepath.Join("work", "mine/a.jsonl") {
		t.Errorf("--set path resolved to %q", got)
	}
	abs, err := filepath.Abs("d.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	// Inside a longer text the param must mean the same file, seen from the recipe.
	src := "params: {data: {type: path, default: d}}\nstages: {s: {uses: x, with: {root: \"${{ params.data }}/x\"}}}"
	for set, want := range map[string]string{"": "dir/d/x", "data=d.jsonl": abs + "/x", "data=": "/x", "data=hf://a/b": "hf://a/b/x"} {
		opts := Options{}
		if set != "" {
			opts.Set = []string{set}
		}
		r := mustParse(t, "dir/r.yaml", src, opts)
		if got := r.Stages[0].With.Lookup("root").Path(); got != want {
			t.Errorf("set %q: %q, want %q", set, got, want)
		}
	}
}

func TestSetValues(t *testing.T) {
	head := "params: {s: a, i: 1, f: 1.5, b: false, l: [1], m: {default: {a: 1}}, any: null, p: {type: path, default: x}}"
	body := "      s: ${{ params.s }}\n      i: ${{ params.i }}\n      f: ${{ params.f }}\n      b: ${{ params.b }}\n" +
		"      l: ${{ params.l }}\n      m: ${{ params.m }}\n      any: ${{ params.any }}\n"
	got := with(t, head, body, Options{Set: []string{"s=007", "i=0x10", "f=2", "b=true", "l=[1, [x, 2.5]]", "m={a: {b: [null]}}", "any=3"}})
	want := map[string]any{"s": "007", "i": int64(16), "f": 2.0, "b": true, "l": []any{int64(1), []any{"x", 2.5}},
		"m": map[string]any{"a": map[string]any{"b": []any{nil}}}, "any": int64(3)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = with(t, head, body, Options{Set: []string{"s='quoted: text'", "s=a: b", "any=[unclosed"}})
	if got["s"] != "a: b" || got["any"] != "[unclosed" {
		t.Errorf("texts: %v", got)
	}
}

func TestParamFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	if err := os.WriteFile(file, []byte("data: here.jsonl\nteacher: other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := mustParse(t, "recipes/demo.yaml", demo, Options{Profile: "full", ParamFiles: []string{file}, Set: []string{"teacher=last"}})
	if got := r.Stage("problems").With.Lookup("root").Path(); got != filepath.Join(dir, "here.jsonl") {
		t.Errorf("path of the params file: %q", got)
	}
	if got := r.Param("teacher"); got.Value.Str != "last" || got.Origin != FromSet {
		t.Errorf("teacher %+v", got)
	}
	_, diags := Parse("recipes/demo.yaml", []byte(demo), Options{ParamFiles: []string{filepath.Join(dir, "none.yaml")}})
	if len(diags) != 1 || diags[0].Code != "read" {
		t.Errorf("missing params file: %v", diags)
	}
}

func TestExpressions(t *testing.T) {
	head := "env: [HOME, UNSET]\nparams: {n: 3, teacher: sim, styles: [cot, code], m: {default: {a: {b: 2}}}, x: null}"
	opts := Options{LookupEnv: func(n string) (string, bool) { return "/h", n == "HOME" }}
	for _, c := range []struct {
		text string
		want any
	}{
		{`${{ params.n + 1 }}`, int64(4)},
		{`${{ params.n / 2 }}`, 1.5},
		{`${{ params.n > 2 && params.teacher == "sim" }}`, true},
		{`n=${{ params.n }}/${{ params.n * 0.5 }}`, "n=3/1.5"},
		{`${{ params.n }}${{ params.n }}`, "33"},
		{`${{ map(params.styles, # + "!") }}`, []any{"cot!", "code!"}},
		{`${{ join(params.styles, "+") }}`, "cot+code"},
		{`${{ params.m.a.b }}`, int64(2)},
		{`${{ {"k": [1, {"z": nil}]} }}`, map[string]any{"k": []any{int64(1), map[string]any{"z": nil}}}},
		{`${{ "}}" + '}}' }}`, "}}}}"},
		{`${{ env.HOME }}/x`, "/h/x"},
		{`${{ env.UNSET ?? "none" }}`, "none"},
		{`${{ params.x ?? 5 }}`, int64(5)},
		{`$${{ literal }} ${{ params.n }}`, "${{ literal }} 3"},
		{`$${{ literal }}`, "${{ literal }}"},
		{`{{ question }} $ {{ x }}`, "{{ question }} $ {{ x }}"},
		{`${{ replace(params.teacher, "s", "d") }}`, "dim"},
		{`${{ string(params.n) + "x" }}`, "3x"},
		{`${{ 1..3 }}`, []any{int64(1), int64(2), int64(3)}},
		{`${{ filter(1..9, # % 2 == 0 and # > 5) }}`, []any{int64(6), int64(8)}},
		{`${{ reduce(1..4, #acc * #, 1) }}`, int64(24)},
		{`${{ sum(map(params.styles, len(#))) }}`, int64(7)},
		{`${{ sortBy(params.styles, #)[0] }}`, "code"},
		{`${{ len(filter(params.styles, # startsWith "c")) }}`, int64(2)},
		{`日本${{ params.n }}`, "日本3"},
	} {
		got := with(t, head, "      v: |-\n        "+c.text+"\n", opts)["v"]
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
	}
}

// TestExpressionBounds: expressions that would take unbounded time or memory
// end with a diagnostic.
func TestExpressionBounds(t *testing.T) {
	for name, c := range map[string][2]string{
		"range":     {`len(1..1000000000)`, "lists of more than"},
		"nested":    {`all(1..1000, all(1..1000, all(1..1000, true)))`, "lists of more than"},
		"steps":     {`let a = 1..1000; all(a, all(a, all(a, true)))`, "steps"},
		"steps 2":   {`let a = 1..5000; count(a, # in filter(a, # > 1 and sum(a, #) > 2)) > 1`, "steps"},
		"doubling":  {`reduce(1..64, #acc + #acc, "xxxxxxxx")`, "KiB of text"},
		"replace":   {`let a = "aaaaaaaaaaaaaaaa"; let b = replace(a, "a", a); let c = replace(b, "a", b); let d = replace(c, "a", c); d`, "KiB of text"},
		"join":      {`let a = "aaaaaaaaaaaaaaaa"; join(map(1..90000, a))`, "lists of more than"},
		"nodes":     {strings.Repeat("1 + ", 600) + "1", "nodes of its syntax"},
		"length":    {`"` + strings.Repeat("x", expr.MaxSource) + `"`, "bytes"},
		"no repeat": {`repeat("x", 1000000)`, "unknown name"},
	} {
		src := "stages: {s: {uses: x, with: {v: '${{ " + c[0] + " }}'}}}"
		_, diags := Parse("r.yaml", []byte(src), Options{})
		if !diags.HasErrors() || !strings.Contains(diags[0].Summary, c[1]) {
			t.Errorf("%s: want a refusal with %q, got %v", name, c[1], diags)
		}
	}
}

func TestYAMLFeatures(t *testing.T) {
	src := `x-common: &c {a: 1, b: [x]}
stages:
  s: {uses: y, with: {<<: *c, b: 2, again: *c, date: 2024-01-02, hex: 0x10, big: 1_000, neg: -3, inf: -.inf, yes: yes, no: "true", tilde: ~}}
`
	r := mustParse(t, "r.yaml", src, Options{})
	want := map[string]any{"a": int64(1), "b": int64(2), "again": map[string]any{"a": int64(1), "b": []any{"x"}}, "date": "2024-01-02",
		"hex": int64(16), "big": int64(1000), "neg": int64(-3), "yes": "yes", "no": "true", "tilde": nil}
	got := r.Stages[0].With.Interface().(map[string]any)
	delete(got, "inf")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLimits: documents made to exhaust memory are refused with one diagnostic.
func TestLimits(t *testing.T) {
	bomb := "x-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	for name, c := range map[string]struct {
		src  string
		opts Options
	}{
		"aliases": {src: bomb + "stages: {s: {uses: x}}"},
		"depth":   {src: "stages: " + strings.Repeat("[", 5000)},
		"depth 2": {src: strings.Repeat("- ", 5000) + "x"},
		"size":    {src: "# " + strings.Repeat("x", 2000), opts: Options{MaxBytes: 1000}},
		"cycle":   {src: "stages: &s {a: *s}"},
	} {
		r, diags := Parse("r.yaml", []byte(c.src), c.opts)
		if !diags.HasErrors() || r == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLoad(t *testing.T) {
	_, diags := Load(filepath.Join(t.TempDir(), "none.yaml"), Options{})
	if len(diags) != 1 || diags[0].Code != "read" || !strings.Contains(diags[0].Summary, "none.yaml") {
		t.Errorf("missing file: %v", diags)
	}
	_, diags = Load("r.yaml", Options{ReadFile: func(string) ([]byte, error) { return nil, errors.Join(fs.ErrPermission) }})
	if len(diags) != 1 || diags[0].Code != "read" {
		t.Errorf("unreadable file: %v", diags)
	}
	file := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(file, []byte(demo), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, diags := Load(file, Options{}); len(diags) != 0 || len(r.Stages) != 5 {
		t.Errorf("%v", diags)
	}
}

// TestPositions puts a marker rune into scalars of every style and expects its
// place in the source.
func TestPositions(t *testing.T) {
	for name, src := range map[string]string{
		"plain":           "v: some text X here",
		"plain lines":     "v: some\n   text\n   and X here",
		"single":          "v: 'it''s \"a\" X'",
		"double":          `v: "a \"b\" \t\x41\u00e9 日本 \\ X"`,
		"double lines":    "v: \"a\\\n  b\n\n  c X\"",
		"literal":         "v: |\n  one\n\n    two X\n",
		"literal indent":  "v: |2-\n   one X\n",
		"folded":          "v: >-\n  one\n  two\n\n  three X\n",
		"tag and anchor":  "v: &a !!str \"b X\"",
		"flow":            "{a: 1, v: 'b X'}",
		"byte order mark": "\ufeffv: b X",
	} {
		var diags diag.List
		sources := &diag.Sources{}
		y := &yamlReader{file: "f", sources: sources, diags: &diags}
		root := y.read([]byte(src), DefaultMaxBytes)
		if root == nil {
			t.Fatalf("%s: %v", name, diags)
		}
		v := root.Lookup("v")
		runes := []rune(v.Str)
		at := -1
		for i, r := range runes {
			if r == 'X' {
				at = i
			}
		}
		if at < 0 {
			t.Fatalf("%s: no marker in %q", name, v.Str)
		}
		pos := posIn(sources, v, at)
		line, ok := sources.Line("f", pos.Line)
		got := []rune(line)
		if !ok || pos.Col < 1 || pos.Col > len(got) || got[pos.Col-1] != 'X' {
			t.Errorf("%s: %v is not the marker", name, pos)
		}
	}
}

func TestValueEqual(t *testing.T) {
	parse := func(s string) *Value {
		y := &yamlReader{sources: &diag.Sources{}, diags: &diag.List{}}
		return y.read([]byte(s), DefaultMaxBytes)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"{a: 1, b: [x, 2.5]}", "{b: [x, 2.5], a: 1.0}", true},
		{"{a: 1}", "{a: 1, b: 2}", false},
		{"[1, 2]", "[2, 1]", false},
		{"null", "~", true},
		{"'1'", "1", false},
		{"true", "true", true},
	} {
		if got := parse(c.a).Equal(parse(c.b)); got != c.want {
			t.Errorf("%s == %s: %v", c.a, c.b, got)
		}
	}
}

// TestBroken: what Parse reported is marked, so that a checker of missing parts
// can stay silent.
func TestBroken(t *testing.T) {
	r, diags := Parse("r.yaml", []byte(`params: {a: 1}
stages:
  one: {uses: x, with: {list: [1, "${{ params.b }}"], good: "${{ params.a }}"}}
  two: {uses: x, from: "a b"}
  three: {uses: x, with: {good: 1}}
`), Options{})
	if len(diags) != 2 {
		t.Fatalf("%v", diags)
	}
	one := r.Stage("one").With
	if !one.Broken() || !one.Lookup("list").Broken() || one.Lookup("good").Broken() {
		t.Errorf("values: %v %v %v", one.Broken(), one.Lookup("list").Broken(), one.Lookup("good").Broken())
	}
	if !r.Stage("one").Broken || !r.Stage("two").Broken || r.Stage("three").Broken || r.Stage("three").With.Broken() {
		t.Error("stages: wrong marks")
	}
}

// A variable may hold a password though its name does not say so.
func TestEnvWithAPassword(t *testing.T) {
	for value, want := range map[string]bool{
		"postgres://me:planted@db/x": true, "https://h/v1?token=planted": true, "https://me:a planted/b@h/": true,
		"https://h/v1": false, "me@h.example": false, "": false,
	} {
		opts := Options{LookupEnv: func(string) (string, bool) { return value, true }}
		_, diags := Parse("r.yaml", []byte("env: [DATABASE_URL]\nstages: {a: {uses: scan}}\n"), opts)
		if got := strings.Contains(diags.Error(), "DATABASE_URL holds an address with a password"); got != want || strings.Contains(diags.Error(), "planted") {
			t.Errorf("%q: %v", value, diags)
		}
	}
}
