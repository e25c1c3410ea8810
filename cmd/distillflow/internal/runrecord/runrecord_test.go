package runrecord

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
	"github.com/distillflow/distillflow/stages/data"
	"github.com/distillflow/distillflow/stages/evaluate"
	"github.com/distillflow/distillflow/stages/prompt"
)

const recipeText = `
name: small
params:
  teacher: simulated
  api_key: sk-12345
  base_url: {default: "http://me:secret@127.0.0.1:1/v1"}
stages:
  problems: {uses: scan, with: {root: rows.jsonl, task: gsm8k, on_error: quarantine}}
  prompts:  {uses: wrap-cot, from: problems, with: {styles: [cot, plain]}}
  replies:  {uses: batch-llm, from: prompts, with: {model: "${{ params.teacher }}", base_url: ""}}
  preds:    {uses: extract, from: replies}
  graded:   {uses: verify-math, from: preds, save: out/}
  short:    {uses: filter, from: graded, with: {where: 'id == "p1"'}}
  teacher:  {uses: accuracy, from: graded}
  never:    {uses: concat, from: graded, when: "${{ false }}"}
  wrong:    {uses: import, with: {root: nothing-*.jsonl}}
  behind:   {uses: concat, from: wrong}
`

// small runs a recipe of every sort of stage and gives its store.
func small(t *testing.T) (*store.Store, *stage.Registry, string) {
	t.Helper()
	dir := t.TempDir()
	var rows strings.Builder
	for i := range 20 {
		fmt.Fprintf(&rows, `{"id": "p%d", "question": "What is %d and %d?", "answer": "%d"}`+"\n", i, i, i, 2*i)
	}
	rows.WriteString("{broken\n")
	for name, text := range map[string]string{"recipe.yaml": recipeText, "rows.jsonl": rows.String(), "nothing-1.jsonl": "{broken\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reg, err := stage.NewRegistry(slices.Concat(data.Stages(), prompt.Stages(), evaluate.Stages(), analyze.Stages())...)
	if err != nil {
		t.Fatal(err)
	}
	eng := &flow.Engine{Registry: reg, MemoDir: filepath.Join(dir, "memo")}
	file := filepath.Join(dir, "recipe.yaml")
	g, r, diags := eng.Load(file, recipe.Options{})
	if g == nil {
		var b strings.Builder
		_ = diags.Render(&b, r.Sources)
		t.Fatal(b.String())
	}
	res, err := eng.Run(t.Context(), g, flow.RunOptions{})
	if res == nil || err == nil {
		t.Fatalf("want a run with one failed stage, got %v", err)
	}
	if err := res.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, ".distillflow"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st, reg, file
}

func open(t *testing.T, st *store.Store, reg *stage.Registry, name string) *Run {
	t.Helper()
	info, err := Find(st, name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(st, reg, info.ID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun(t *testing.T) {
	st, reg, file := small(t)
	r := open(t, st, reg, file)
	if r.Status != "failed" || r.Live() || r.Seconds <= 0 || r.Error != "" || r.Resolved.Name != "small" || r.Given.Seed != flow.DefaultSeed {
		t.Errorf("status %s, %v s, error %q, recipe %q, seed %d", r.Status, r.Seconds, r.Error, r.Resolved.Name, r.Given.Seed)
	}
	var got []string
	for _, s := range r.Stages {
		line := fmt.Sprintf("%s %s in %d", s.Name, s.State, s.RowsIn())
		for _, o := range s.Outputs {
			line += fmt.Sprintf(", %s %s %s %d", o.Port, o.Kind, o.Record, o.Rows)
			if o.Saved != "" {
				line += " saved"
			}
		}
		got = append(got, line)
	}
	want := []string{
		"problems ran in 0, problems rows problem 20, quarantine rows quarantined 1",
		"prompts ran in 20, prompts rows problem 20",
		"replies ran in 20, replies rows problem 20, errors rows problem 0",
		"preds ran in 20, problems rows problem 20",
		"graded ran in 20, all rows problem 20 saved, correct rows problem 20 saved",
		"short ran in 20, rows rows problem 1, dropped rows problem 19",
		"teacher ran in 20, table rows accuracy 3, report dir  0",
		"never skipped in 20",
		"wrong failed in 0",
		"behind skipped in 0",
	}
	if correct, ok := r.Stage("graded").Output("correct"); ok { // as many as the simulated teacher has right
		want[4] = strings.Replace(want[4], "problem 20 saved, correct rows problem 20", fmt.Sprintf("problem 20 saved, correct rows problem %d", correct.Rows), 1)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s := r.Stage("wrong"); !strings.Contains(s.Error, "nothing-1.jsonl") {
		t.Errorf("error of wrong: %q", s.Error)
	}
	if s := r.Stage("behind"); !strings.Contains(s.Reason, "wrong") {
		t.Errorf("reason of behind: %q", s.Reason)
	}
	if c := r.Cost(); c.Calls != 40 || c.PromptTokens == 0 {
		t.Errorf("cost %+v", c)
	}
	if m, ok, err := r.Made(r.Stage("replies")); err != nil || !ok || m.Stats["calls"] != 40 {
		t.Errorf("made %+v, %v, %v", m, ok, err)
	}
	params := map[string]string{}
	for _, p := range r.Resolved.Params {
		params[p.Name] = string(p.Value)
	}
	if d := cmp.Diff(map[string]string{"teacher": `"simulated"`, "api_key": `"***"`, "base_url": `"http://***@127.0.0.1:1/v1"`}, params); d != "" {
		t.Error(d)
	}
	if f, err := r.Figures(); err != nil || f["teacher"] <= 0 {
		t.Errorf("figures %v, %v", f, err)
	}
	if tables, err := Read[schema.Accuracy](r); err != nil || len(tables) != 1 || tables[0].Output.Label() != "teacher.table" || len(tables[0].Rows) != 3 {
		t.Errorf("accuracy %+v, %v", tables, err)
	}
}

func TestDrops(t *testing.T) {
	st, reg, _ := small(t)
	r := open(t, st, reg, "last")
	drops := func(name string) []Drop {
		t.Helper()
		d, err := r.Drops(r.Stage(name))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := drops("problems"); len(d) != 1 || d[0].Port != "quarantine" || d[0].Rows != 1 || d[0].Paths != 0 || d[0].Reason == "" {
		t.Errorf("problems: %+v", d)
	}
	if d := cmp.Diff([]Drop{{Port: "dropped", Reason: `not where: id == "p1"`, Rows: 19, Paths: 38}}, drops("short")); d != "" {
		t.Error(d)
	}
	if d := drops("prompts"); d != nil {
		t.Errorf("prompts: %+v", d)
	}
	wrong := int64(0)
	for _, d := range drops("graded") {
		wrong += d.Paths
	}
	tables, err := Read[schema.Accuracy](r)
	if err != nil {
		t.Fatal(err)
	}
	if all := tables[0].Rows[0]; wrong != int64(all.Paths-all.Correct) || wrong == 0 {
		t.Errorf("%d paths dropped by graded, want %d of %d", wrong, all.Paths-all.Correct, all.Paths)
	}
}

func TestManyReasons(t *testing.T) {
	c := counter{}
	for i := range 3 * maxDistinct {
		c.add(fmt.Sprintf("reason %04d\nmore of it", i), 1)
	}
	c.add("frequent", 5)
	list := c.drops("invalid")
	if len(list) != maxReasons || list[len(list)-1].Reason != otherReason {
		t.Fatalf("%d reasons, the last %+v", len(list), list[len(list)-1])
	}
	sum := int64(0)
	for _, d := range list {
		sum += d.Paths
	}
	if sum != 3*maxDistinct+5 {
		t.Errorf("%d paths in all", sum)
	}
}

func TestRows(t *testing.T) {
	st, reg, _ := small(t)
	r := open(t, st, reg, "last")
	out, _ := r.Stage("problems").Output("")
	var offsets []int64
	for row, err := range r.Rows(out, 0, nil) {
		if err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, row.Offset)
	}
	if len(offsets) != 20 {
		t.Fatalf("%d rows", len(offsets))
	}
	cond, err := r.Condition(out, `len(question) > 0 and id != "p6"`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for row, err := range r.Rows(out, offsets[5], cond) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(row.JSON[:12]))
		if len(got) == 2 {
			break
		}
	}
	if d := cmp.Diff([]string{`{"id":"p5","`, `{"id":"p7","`}, got); d != "" {
		t.Error(d)
	}
	if cond, err = r.Condition(out, `absent > 3`); err != nil {
		t.Fatal(err)
	}
	for _, err := range r.Rows(out, 0, cond) {
		if err == nil || !strings.Contains(err.Error(), `problems.problems: the row at byte 0 (id "p0")`) {
			t.Errorf("error of an expression that fails: %v", err)
		}
	}
	accuracy, _ := r.Stage("teacher").Output("table")
	if _, err := r.Condition(accuracy, `stile == "all"`); err == nil || !strings.Contains(err.Error(), "style") {
		t.Errorf("a slip in the name of a field: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(st.Dir(), "blobs")); err != nil {
		t.Fatal(err)
	}
	for _, err := range r.Rows(out, 0, nil) {
		if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "no longer in the store") {
			t.Errorf("rows that are gone: %v", err)
		}
	}
}

func TestManyWarnings(t *testing.T) {
	var list []Warning
	for i := range 2 * maxWarnings {
		warn(&list, event.Event{Message: fmt.Sprint(i)})
		warn(&list, event.Event{Message: "0"})
	}
	last := list[len(list)-1]
	if len(list) != maxWarnings+1 || list[0].Count != 2*maxWarnings+1 || last.Count != maxWarnings || !strings.HasPrefix(last.Message, "further") {
		t.Errorf("%d warnings, the first %+v, the last %+v", len(list), list[0], last)
	}
}

// A run of an older program has events only.
func TestOldRun(t *testing.T) {
	st, reg, _ := small(t)
	whole := open(t, st, reg, "last")
	record := filepath.Join(whole.Dir(), "run.json")
	var fields map[string]any
	b, err := os.ReadFile(record)
	if err == nil {
		err = json.Unmarshal(b, &fields)
	}
	if err == nil {
		delete(fields, "files")
		delete(fields, "sum")
		b, err = json.Marshal(fields)
	}
	if err = errors.Join(err, os.WriteFile(record, b, 0o644), os.Remove(filepath.Join(whole.Dir(), "recipe.json"))); err != nil {
		t.Fatal(err)
	}
	r := open(t, st, reg, whole.ID)
	for _, s := range whole.Stages {
		old := r.Stage(s.Name)
		if old == nil || old.State != s.State || !slices.Equal(old.Outputs, s.Outputs) || old.Type != s.Type {
			t.Errorf("%s: %+v", s.Name, old)
		}
	}
}

// A run that goes on is read again from where it was, and one whose process died says so.
func TestLiveRun(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	reg, err := stage.NewRegistry(data.Stages()...)
	if err != nil {
		t.Fatal(err)
	}
	run, err := st.NewRun(store.RunInfo{Recipe: "r.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(e event.Event) {
		t.Helper()
		e.Time = time.Now()
		if err := errors.Join(run.Event(e), run.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	tell(event.Event{Kind: event.StageStarted, Stage: "a", Type: "scan"})
	progress := `{"a": {"kind": "stage_progress", "stage": "a", "done": 3, "total": 9}, "b": {"kind": "stage_progress"}}`
	if err := os.WriteFile(filepath.Join(run.Dir(), "progress.json"), []byte(progress), 0o644); err != nil {
		t.Fatal(err)
	}
	r := open(t, st, reg, "last")
	if a := r.Stage("a"); !r.Live() || a.State != Running || a.Progress == nil || a.Progress.Done != 3 {
		t.Errorf("live: %+v", a)
	}
	tell(event.Event{Kind: event.StageWarning, Stage: "a", Message: "slow"})
	tell(event.Event{Kind: event.StageWarning, Stage: "a", Message: "slow"})
	tell(event.Event{Kind: event.StageDone, Stage: "a", Seconds: 2, Outputs: map[string]event.Output{"quarantine": {}, "problems": {Rows: 3}}})
	tell(event.Event{Kind: event.StageStarted, Stage: "b", Type: "no-such-type"})
	// Half a line, as a reader may find it.
	f, err := os.OpenFile(filepath.Join(run.Dir(), "events.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"kind": "stage_fai`); err != nil {
		t.Fatal(err)
	}
	if changed, err := r.Refresh(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	a := r.Stage("a")
	if a.State != Ran || a.Progress != nil || len(a.Warnings) != 1 || a.Warnings[0].Count != 2 || a.Outputs[0].Port != "problems" {
		t.Errorf("later: %+v", a)
	}
	if _, err := f.WriteString("led\", \"stage\": \"b\", \"error\": \"no\"}\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Refresh(); err != nil || r.Stage("b").State != Failed {
		t.Errorf("b is %s, %v", r.Stage("b").State, err)
	}
	tell(event.Event{Kind: event.StageStarted, Stage: "c"})
	// It was seen at work long after its last event, and had spent something.
	sign, err := json.Marshal(map[string]event.Event{
		"a": {Time: time.Now().Add(2 * time.Hour), Values: map[string]float64{"calls": 99}}, // which has ended
		"c": {Time: time.Now().Add(time.Hour), Values: map[string]float64{"calls": 7, "usd": 0.5, "in_flight": 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run.Dir(), "progress.json"), sign, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(run.Dir(), "lock")); err != nil { // as when the process has died
		t.Fatal(err)
	}
	if changed, err := r.Refresh(); err != nil || !changed || r.Status != store.RunKilled || r.Stage("c").State != Stopped {
		t.Errorf("killed: %v, %v, %s, c is %s", changed, err, r.Status, r.Stage("c").State)
	}
	if c := r.Stage("c"); r.Seconds < 3599 || r.Seconds > 3700 || c.Seconds < 3599 || r.Cost() != (Cost{Calls: 7, USD: 0.5}) {
		t.Errorf("killed after %v s, c after %v s, %+v", r.Seconds, c.Seconds, r.Cost())
	}
	if changed, err := r.Refresh(); err != nil || changed {
		t.Errorf("nothing more happens, yet changed is %v, %v", changed, err)
	}
}

// A run that was killed before its first event, and one whose clock was set back, took no
// time, rather than minus some.
func TestNoNegativeTimes(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	killed, err := st.NewRun(store.RunInfo{ID: "killed"})
	if err != nil {
		t.Fatal(err)
	}
	back, err := st.NewRun(store.RunInfo{ID: "back", Started: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(killed.Dir(), "lock")), back.Finish("done", nil)); err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(data.Stages()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"killed", "back"} {
		if r := open(t, st, reg, id); r.Seconds != 0 {
			t.Errorf("%s: %v s", id, r.Seconds)
		}
	}
}

func TestOpenUnknown(t *testing.T) {
	st, reg, _ := small(t)
	for _, id := range []string{"20200101-none", "../..", ""} {
		if _, err := Open(st, reg, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestFind(t *testing.T) {
	st, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	abs, err := filepath.Abs("r.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range []store.RunInfo{{ID: "2026-a"}, {ID: "2026-aa", RecipeID: abs}, {ID: "2026-ab"}} {
		info.Started = time.Unix(int64(i), 0)
		r, err := st.NewRun(info)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Finish("done", nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"last": "2026-ab", "r.yaml": "2026-aa", "./r.yaml": "2026-aa", "2026-a": "2026-a", "2026-aa": "2026-aa", "2026-ab": "2026-ab",
		"": "empty", "2026": "3 runs begin", "x": "has no run x", "other.yaml": "has no run of other.yaml",
	} {
		info, err := Find(st, name)
		var unknown *UnknownError
		if got := info.ID; err != nil && (!errors.As(err, &unknown) || !strings.Contains(err.Error(), want)) || err == nil && got != want {
			t.Errorf("%q: run %q, error %v, want %s", name, got, err, want)
		}
	}
}
