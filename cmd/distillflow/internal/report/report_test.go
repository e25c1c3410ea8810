package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
	"github.com/distillflow/distillflow/stages/data"
	"github.com/distillflow/distillflow/stages/evaluate"
)

// evil is what a model could write to take over the page. The second line ends every
// tag that text can stand in.
const evil = `<script>document.title = 'taken'</script> <a href="javascript:document.title = 'taken'">x</a>
</div></details></style></title><img src=x onerror="document.title = 'taken'"> `

const recipeText = `
name: "small <b>"
description: What a report shows.
params:
  teacher: simulated
  api_key: sk-12345
stages:
  rows:    {uses: import, with: {root: rows.jsonl}}
  preds:   {uses: extract, from: rows}
  graded:  {uses: verify-math, from: preds, save: out/}
  short:   {uses: filter, from: graded.correct, with: {where: 'id != "p1"'}}
  judged:  {uses: judge, from: graded.correct, with: {model: "${{ params.teacher }}"}}
  teacher: {uses: accuracy, from: graded}
  wrong:   {uses: import, with: {root: broken.jsonl}}
  behind:  {uses: concat, from: wrong}
`

// run runs the recipe, whose one stage fails, and gives its record.
func run(t *testing.T) *runrecord.Run {
	t.Helper()
	r, err := runIn(t, t.TempDir(), recipeText)
	if err == nil {
		t.Fatal("want a run with one failed stage")
	}
	return r
}

// runIn runs a recipe in a folder and gives its record, and the run's error.
func runIn(t testing.TB, dir, text string) (*runrecord.Run, error) {
	t.Helper()
	var rows bytes.Buffer
	for i := range 14 {
		p := schema.Problem{ID: fmt.Sprintf("p%d", i), Task: "gsm8k", Question: fmt.Sprintf("%d and %d?", i, i), GoldAnswer: fmt.Sprint(2 * i)}
		for k, response := range []string{fmt.Sprintf("%sThe answer is %d.", evil, 2*i), fmt.Sprintf("The answer is %d.", 2*i+1), "I do not know." + evil} {
			path := schema.Path{Style: []string{"cot", "plain", evil}[k], Prompt: p.Question, Reasoning: evil, Response: response, FinishReason: "stop", Provider: "simulated"}
			p.Paths = append(p.Paths, path)
		}
		line, err := p.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		rows.Write(append(line, '\n'))
	}
	for name, text := range map[string]string{"recipe.yaml": text, "rows.jsonl": rows.String(), "broken.jsonl": "{broken\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reg, err := stage.NewRegistry(slices.Concat(data.Stages(), evaluate.Stages(), analyze.Stages())...)
	if err != nil {
		t.Fatal(err)
	}
	eng := &flow.Engine{Registry: reg, MemoDir: filepath.Join(dir, "memo")}
	g, r, diags := eng.Load(filepath.Join(dir, "recipe.yaml"), recipe.Options{})
	if g == nil {
		var b strings.Builder
		_ = diags.Render(&b, r.Sources)
		t.Fatal(b.String())
	}
	res, failed := eng.Run(t.Context(), g, flow.RunOptions{})
	if res == nil {
		t.Fatal(failed)
	}
	if err := res.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, ".distillflow"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	record, err := runrecord.Open(st, reg, res.ID)
	if err != nil {
		t.Fatal(err)
	}
	return record, failed
}

// BenchmarkSweep writes the page of 2,001 stages.
func BenchmarkSweep(b *testing.B) {
	var legs []string
	for i := range 500 {
		legs = append(legs, strconv.Itoa(i))
	}
	r, err := runIn(b, b.TempDir(), `
name: sweep
x-axis: &axis {leg: [`+strings.Join(legs, ", ")+`]}
stages:
  rows: {uses: import, with: {root: rows.jsonl}}
  kept: {uses: filter, from: rows, matrix: *axis, with: {where: "id != '${{ matrix.leg }}'", paths: "style == 'cot'"}}
  more: {uses: derive, from: kept, matrix: *axis, with: {set: {leg: "'${{ matrix.leg }}'"}}}
  part: {uses: split, from: more, matrix: *axis}
  drawn: {uses: sample, from: part.train, matrix: *axis, with: {n: 5}}
`)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Write(r, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPage(t *testing.T) {
	r := run(t)
	p := New(r)
	// What differs from run to run, or from machine to machine.
	p.ID, p.When, p.Environment, p.Lock = "", "", nil, nil
	for i := range p.Tiles {
		if p.Tiles[i].Name == "Time" {
			p.Tiles[i].Value = ""
		}
	}
	dir := filepath.Dir(r.RecipeID) + string(filepath.Separator)
	for _, row := range p.Stages.Rows {
		row[3], row[6] = "", strings.ReplaceAll(row[6], dir, "")
	}
	for i := range p.Errors {
		p.Errors[i].Value = strings.ReplaceAll(p.Errors[i].Value, dir, "")
	}
	for i, g := range p.Examples { // two of each will do
		if len(g.List) > 2 {
			p.Examples[i].List = g.List[:2]
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "page.json")
	if os.Getenv("DISTILLFLOW_UPDATE") != "" {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("%s (-golden +got):\n%s", golden, d)
	}
}

var reference = regexp.MustCompile(`\s(?:src|href|action|srcset|data|poster)\s*=\s*"?([^"\s>]*)`)

// What models wrote does nothing, the page needs nothing from outside, and secrets are
// not on it.
func TestPageIsSafe(t *testing.T) {
	r := run(t)
	place, err := Write(r, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(r.RecipeID), "out", Name); place != want {
		t.Errorf("the report is at %s, want %s", place, want)
	}
	page, err := os.ReadFile(place)
	if err != nil {
		t.Fatal(err)
	}
	inStore, err := os.ReadFile(r.ReportPath())
	if err != nil || !bytes.Equal(page, inStore) {
		t.Errorf("the report in the store differs: %v", err)
	}
	lower := strings.ToLower(string(page))
	for _, bad := range []string{"<script", "<img src=x", "<a href=\"javascript", "<link", "<iframe", "sk-12345", "@import", "url(h"} {
		if strings.Contains(lower, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	// The text of the evil is escaped, so that what is left of it in angle brackets is none.
	for _, m := range reference.FindAllStringSubmatch(regexp.MustCompile(`>[^<]*<`).ReplaceAllString(string(page), "><"), -1) {
		if to := html.UnescapeString(m[1]); !strings.HasPrefix(to, "#") && !strings.HasPrefix(to, "data:image/svg+xml;base64,") {
			t.Errorf("the page leads to %.40s", to)
		}
	}
	if n := strings.Count(string(page), "<mark>"); n < 21 { // ten right, ten wrong, and what the judge turned down
		t.Errorf("%d marked answers", n)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("there is no chromium")
	}
	// The policy would stop a script even if the page had one: look at it without, too.
	for _, strip := range []bool{false, true} {
		if strip {
			page = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`).ReplaceAll(page, nil)
		}
		file := filepath.Join(t.TempDir(), "page.html")
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
		dom, err := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+file).Output()
		if err != nil {
			t.Skipf("chromium: %v", err)
		}
		if title := "<title>small &lt;b&gt;: report of run"; !strings.Contains(string(dom), title) {
			t.Errorf("a script ran: the page lacks %s", title)
		}
	}
}

// Nothing but an older report is overwritten, and figures of an older run go.
func TestBeside(t *testing.T) {
	r := run(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "mine.html")
	for range 2 {
		if place, err := Write(r, file); err != nil || place != file {
			t.Fatalf("%s, %v", place, err)
		}
	}
	old := filepath.Join(dir, "sub", "mine_files", "loss-x.svg")
	other := filepath.Join(dir, "sub", "mine_files", "notes.svg")
	for _, f := range []string{old, other} {
		if err := os.WriteFile(f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Write(r, file); err != nil {
		t.Fatal(err)
	}
	var got []string
	entries, err := os.ReadDir(filepath.Dir(old))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if d := cmp.Diff([]string{"notes.svg", "teacher.png", "teacher.svg"}, got); d != "" {
		t.Error(d)
	}
	// A folder of figures that came with a recipe as a link leads nowhere.
	elsewhere := t.TempDir()
	linked := filepath.Join(dir, "linked.html")
	if err := os.Symlink(elsewhere, FiguresFolder(linked)); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(r, linked); err == nil || !strings.Contains(err.Error(), "linked_files is no folder") {
		t.Error(err)
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	for _, text := range []string{"<!DOCTYPE html>\n<p>mine</p>", ""} {
		foreign := filepath.Join(dir, "foreign.html")
		if err := os.WriteFile(foreign, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		place, err := Write(r, foreign)
		if err == nil || !strings.Contains(err.Error(), "foreign.html is there and is no report") || place != r.ReportPath() {
			t.Errorf("%s, %v", place, err)
		}
		if b, err := os.ReadFile(foreign); err != nil || string(b) != text {
			t.Errorf("the file is now %q, %v", b, err)
		}
	}
}

// What the store has lost is left out, and the page says so.
func TestLostOutputs(t *testing.T) {
	r := run(t)
	if err := os.RemoveAll(filepath.Join(filepath.Dir(r.RecipeID), ".distillflow", "blobs")); err != nil {
		t.Fatal(err)
	}
	p := New(r)
	if len(p.Stages.Rows) != 8 || len(p.Notes) == 0 || !strings.Contains(strings.Join(p.Notes, "\n"), "teacher.table is no longer in the store") {
		t.Errorf("%d stages, notes %q", len(p.Stages.Rows), p.Notes)
	}
	if _, err := Write(r, ""); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What a page read of outputs that are still the same, later pages take from it; after
// another build of the program, or where the file is damaged, they read again.
func TestFacts(t *testing.T) {
	r := run(t)
	first := New(r)
	if err := first.facts.write(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(r.RecipeID), ".distillflow", "blobs")); err != nil {
		t.Fatal(err)
	}
	same := func(p *Page) bool {
		return cmp.Equal(first.Examples, p.Examples, cmpopts.IgnoreUnexported(Group{})) &&
			cmp.Equal(first.Passed, p.Passed) && cmp.Equal(first.Dropped, p.Dropped)
	}
	if len(first.Examples) == 0 || len(first.Passed.Rows) == 0 || len(first.Dropped.Rows) == 0 {
		t.Fatalf("the page has no examples, or nothing fell: %+v", first)
	}
	if p := New(r); !same(p) {
		t.Errorf("another page: %+v", p)
	}
	defer func(f func() string) { program = f }(program)
	program = func() string { return "another" }
	if p := New(r); same(p) {
		t.Error("another build took what this one read")
	}
	program = func() string { return "" }
	if err := os.WriteFile(first.facts.file, []byte(`{"examples`), 0o644); err != nil {
		t.Fatal(err)
	}
	if p := New(r); same(p) || len(p.Stages.Rows) != 8 {
		t.Errorf("after a damaged file: %+v", p)
	}
}

func TestSavedFolder(t *testing.T) {
	for _, c := range []struct {
		recipe string
		saved  []string
		want   string
	}{
		{"/r/a.yaml", nil, ""},
		{"/r/a.yaml", []string{"/r/out/a.jsonl"}, "/r/out"},
		{"/r/a.yaml", []string{"/r/out/x/a.jsonl", "/r/out/y/b.jsonl"}, "/r/out"},
		{"/r/a.yaml", []string{"/r/out/a.jsonl", "/r/out/y/b.jsonl"}, "/r/out"},
		{"/r/a.yaml", []string{"/r/b/x", "/r/c/y", "/r/c/z"}, "/r/c"},
		{"/r/a.yaml", []string{"/r/b/x", "/s/y"}, "/r/b"},
		{"/r/a.yaml", []string{"/r/x.jsonl"}, "/r"},
		{"/r/a.yaml", []string{"/runs/a/x", "/runs/ab/y"}, "/runs"},
	} {
		r := &runrecord.Run{}
		r.RecipeID = c.recipe
		s := &runrecord.Stage{}
		for _, place := range c.saved {
			s.Outputs = append(s.Outputs, runrecord.Output{Saved: filepath.FromSlash(place)})
		}
		r.Stages = []*runrecord.Stage{s}
		if got := filepath.ToSlash(savedFolder(r)); got != c.want {
			t.Errorf("%v: %s, want %s", c.saved, got, c.want)
		}
	}
}

// Every path has the same chance, and the same run gives the same examples.
func TestOffer(t *testing.T) {
	var g Group
	random := newRandom()
	for i := range 1000 {
		g.offer(random, func() pages.Path { return pages.Path{ID: fmt.Sprintf("%03d", i)} })
	}
	g.sort()
	var ids []string
	for _, p := range g.List {
		ids = append(ids, p.ID)
	}
	if len(ids) != examplesEach || g.Total != 1000 || !slices.IsSorted(ids) || ids[0] > "500" || ids[9] < "500" {
		t.Errorf("%d of %d: %v", len(ids), g.Total, ids)
	}
}

func TestCurve(t *testing.T) {
	c := curve{every: 1}
	for i := range 100_000 {
		c.add(schema.Metric{Step: i})
	}
	for i, m := range c.points {
		if m.Step != i*c.every {
			t.Fatalf("point %d is step %d, want every %d", i, m.Step, c.every)
		}
	}
	if n := len(c.points); n < maxPoints/2-1 || n > maxPoints {
		t.Errorf("%d points", n)
	}
}
