package data

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/schema"
)

func TestRowStagesGolden(t *testing.T) {
	for _, typ := range []*stage.Type{Filter, Derive, Sample, SamplePaths, Split, Sort, Concat, Join, Export, Import, ImportScripts, ImportRouterLog} {
		t.Run(typ.Type, func(t *testing.T) { stagetest.Golden(t, typ) })
	}
}

func TestRowConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		typ    *stage.Type
		config string
		field  string
		msg    string
	}{
		{Filter, `{}`, "", "filter needs where or paths"},
		{Filter, `{"where": "len(qestion) > 1"}`, "where", `column 5 of the expression: unknown field "qestion"; did you mean "question"?`},
		{Filter, `{"where": "len(question)"}`, "where", "must give true or false"},
		{Filter, `{"where": "any(paths, .corect)"}`, "where", `did you mean "correct"?`},
		{Filter, `{"paths": "row.gold_anser == pred"}`, "paths", `did you mean "gold_answer"?`},
		{Filter, `{"paths": "correct and"}`, "paths", "ends too early"},
		{Filter, `{"paths": "correct == nil"}`, "paths", "this is never null"},
		{Derive, `{}`, "", "derive needs set or drop"},
		{Derive, `{"set": {"id": "task"}}`, "set.id", `derive cannot set "id"`},
		{Derive, `{"set": {"a.b": "1 +"}}`, "set.a.b", "ends too early"},
		{Derive, `{"set": {"question": "len(question)"}}`, "set.question", "must give text"},
		{Derive, `{"drop": ["x", "question"]}`, "drop.1", "belongs to every row"},
		{Sample, `{}`, "", "one of n and fraction"},
		{Sample, `{"n": 1, "fraction": 0.5}`, "", "one of n and fraction"},
		{Sample, `{"fraction": 0.5, "by": "task"}`, "by", "by goes with n"},
		{Sample, `{"n": 1, "where": "now() > 1"}`, "where", `no function "now"`},
		{Split, `{"test": 0.6, "dev": 0.5}`, "test", "are more than 1"},
		{Split, `{"by": "taks"}`, "by", `did you mean "task"?`},
		{Sort, `{"by": []}`, "by", "at least one"},
		{Sort, `{"by": ["id", "len(task desc"]}`, "by.1", "column 8"},
		{Join, `{"fields": ["id"]}`, "fields.0", "joined on"},
		{Join, `{"fields": ["a", "a"]}`, "fields.1", "listed twice"},
		{Import, `{"root": "nowhere", "fields": {"id": "x ?? itn(n)"}}`, "fields.id", `there is no function "itn" here; did you mean "int"?`},
		{Import, `{"root": "nowhere", "task": "t", "declared": {"answer": "text", "fields": {"gold": "[a"}}}`, "declared.fields.gold", "ends too early"},
		{Scan, `{"root": "nowhere", "task": "t", "declared": {"answer": "text", "fields": {"gold": ""}}}`, "declared.fields.gold", "is not a place in a row"},
		{Scan, `{"root": "nowhere", "task": "t", "declared": {"answer": "text", "fields": {"gold_answer": "x"}}}`, "declared.fields.gold_answer", "map gold"},
		{Export, `{"name": "a/b"}`, "name", "is not a file name"},
		{Export, `{"layout": "original", "format": "parquet"}`, "format", "JSONL only"},
		{Export, `{"reasoning": "field"}`, "reasoning", "only the layout messages"},
		{Export, `{"system": "x"}`, "system", "only the layout messages"},
		{Import, `{"root": "x", "fields": {"paths": "y"}}`, "fields.paths", "made of their fields"},
	} {
		_, errs := tc.typ.Decode(tree(t, tc.config))
		if len(errs) == 0 || strings.Join(errs[0].Path, ".") != tc.field || !strings.Contains(errs[0].Msg, tc.msg) {
			t.Errorf("%s %s: got %+v, want %s: %s", tc.typ.Type, tc.config, errs, tc.field, tc.msg)
		}
	}
}

func tree(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// outcome is what a run of a stage left.
type outcome struct {
	rows  map[string][]schema.Problem
	dir   string
	warns []string
	err   error
}

// runStage runs a stage on rows; each port takes one source.
func runStage(t *testing.T, ctx context.Context, typ *stage.Type, config string, seed uint64, getenv func(string) string, in map[string][]schema.Problem) outcome {
	t.Helper()
	dir := t.TempDir()
	task := stage.Task{Stage: "s", Type: typ.Type, Version: typ.Version, Config: json.RawMessage(config), Seed: seed,
		Inputs: map[string][]stage.Input{}, Outputs: map[string]string{}, WorkDir: filepath.Join(dir, "work")}
	for port, rows := range in {
		var b bytes.Buffer
		for _, r := range rows {
			line, err := r.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(line, '\n'))
		}
		path := filepath.Join(dir, port+".in")
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		task.Inputs[port] = []stage.Input{{Path: path, Label: port}}
	}
	for _, p := range typ.Outputs {
		task.Outputs[p.Name] = filepath.Join(dir, p.Name+".out")
	}
	reg, err := stage.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	out := outcome{rows: map[string][]schema.Problem{}, dir: filepath.Join(dir, "dir.out")}
	_, out.err = reg.Run(ctx, task, stage.Services{Getenv: getenv, Warn: func(s string) { out.warns = append(out.warns, s) }})
	for _, p := range typ.Outputs {
		if p.Kind != stage.RowsPort {
			continue
		}
		for row, err := range stage.RowsFrom[schema.Problem](task.Outputs[p.Name], p.Name).All() {
			if err != nil {
				t.Fatal(err)
			}
			out.rows[p.Name] = append(out.rows[p.Name], row)
		}
	}
	return out
}

func numbered(n int) []schema.Problem {
	rows := make([]schema.Problem, n)
	for i := range rows {
		rows[i] = schema.Problem{ID: fmt.Sprintf("p%d", i), Task: "gsm8k", Question: "q", GoldAnswer: "1"}
	}
	return rows
}

func ids(rows []schema.Problem) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r.ID
	}
	slices.Sort(list)
	return list
}

// TestSampleDependsOnIDsOnly: neither the order of the rows nor the presence of
// others decides about a row, a larger sample holds the smaller, and another
// seed gives another sample.
func TestSampleDependsOnIDsOnly(t *testing.T) {
	rows := numbered(300)
	take := func(config string, seed uint64, rows []schema.Problem) []string {
		out := runStage(t, t.Context(), Sample, config, seed, nil, map[string][]schema.Problem{"rows": rows})
		if out.err != nil || len(out.rows["rows"])+len(out.rows["rest"]) != len(rows) {
			t.Fatalf("%s: %v, %d + %d rows", config, out.err, len(out.rows["rows"]), len(out.rows["rest"]))
		}
		return ids(out.rows["rows"])
	}
	shuffled := slices.Clone(rows)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	small := take(`{"n": 20}`, 1, rows)
	if len(small) != 20 || !slices.Equal(small, take(`{"n": 20}`, 1, shuffled)) {
		t.Errorf("the order of the rows decides about the sample")
	}
	large := take(`{"n": 60}`, 1, rows)
	for _, id := range small {
		if !slices.Contains(large, id) {
			t.Errorf("%s is in the sample of 20 but not of 60", id)
		}
	}
	if slices.Equal(small, take(`{"n": 20}`, 2, rows)) {
		t.Error("another seed gives the same sample")
	}
	all, half := take(`{"fraction": 0.5}`, 1, rows), take(`{"fraction": 0.5}`, 1, rows[:150])
	for _, id := range half {
		if !slices.Contains(all, id) {
			t.Errorf("%s leaves the sample when rows are added", id)
		}
	}
	if len(all) < 120 || len(all) > 180 { // 6.9 standard deviations
		t.Errorf("a fraction of 0.5 takes %d of 300", len(all))
	}
}

func TestSplitIsStable(t *testing.T) {
	rows := numbered(4000)
	parts := func(config string, rows []schema.Problem) map[string][]string {
		out := runStage(t, t.Context(), Split, config, 0, nil, map[string][]schema.Problem{"rows": rows})
		if out.err != nil {
			t.Fatal(out.err)
		}
		m := map[string][]string{}
		for port, r := range out.rows {
			m[port] = ids(r)
		}
		return m
	}
	all := parts(`{"test": 0.1, "dev": 0.1}`, rows)
	for _, port := range []string{"test", "dev"} { // 400 expected, standard deviation 19
		if n := len(all[port]); n < 300 || n > 500 {
			t.Errorf("%s has %d of 4000 rows, want about 400", port, n)
		}
	}
	for port, some := range parts(`{"test": 0.1, "dev": 0.1}`, rows[:500]) {
		for _, id := range some {
			if !slices.Contains(all[port], id) {
				t.Errorf("%s moves out of %s when rows are added", id, port)
			}
		}
	}
	grown := parts(`{"test": 0.3, "dev": 0.1}`, rows)
	for _, id := range all["test"] {
		if !slices.Contains(grown["test"], id) {
			t.Errorf("%s leaves test when test grows", id)
		}
	}
	if !slices.Equal(all["dev"], grown["dev"]) {
		t.Error("dev changes when test grows")
	}
	if slices.Equal(all["test"], parts(`{"test": 0.1, "dev": 0.1, "salt": "x"}`, rows)["test"]) {
		t.Error("another salt gives the same test rows")
	}
}

func TestUnseenFieldsAreReported(t *testing.T) {
	out := runStage(t, t.Context(), Filter, `{"where": "(levle ?? 1) == 1"}`, 0, nil, map[string][]schema.Problem{"rows": numbered(1)})
	if d := cmp.Diff([]string{`where: no row has the field "levle"`}, out.warns); d != "" || out.err != nil {
		t.Error(out.err, d)
	}
	out = runStage(t, t.Context(), Join, `{"fields": ["lable"]}`, 0, nil, map[string][]schema.Problem{"rows": numbered(1), "with": numbered(1)})
	if d := cmp.Diff([]string{`fields: no row of with has "lable"`}, out.warns); d != "" || out.err != nil {
		t.Error(out.err, d)
	}
}

// TestUnseenSourcesAreReported: only those of expressions that were asked for a row that
// has some of their fields.
func TestUnseenSourcesAreReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(file, []byte(`{"question":"q","a":"1","gold":"2"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []*stage.Type{Scan, Import} {
		config := fmt.Sprintf(`{"root": %q, "task": "t", "declared": {"answer": "text", "fields": {"hint": "a + (bb ?? '')", "gold": "gold ?? string(c)", "id": "int(uid)"}}}`, file)
		out := runStage(t, t.Context(), typ, config, 0, nil, nil)
		want := []string{`fields.hint: no row has the field "bb"`}
		if typ == Import {
			want = append([]string{`fields: no row has "int(uid)"`}, want...)
		}
		if d := cmp.Diff(want, out.warns); d != "" || out.err != nil {
			t.Error(typ.Type, out.err, d)
		}
	}
}

// TestParquetReadsBack reads what export wrote with the library's own reader, by
// column names as other tools see them.
func TestParquetReadsBack(t *testing.T) {
	yes := true
	rows := numbered(3)
	rows[0].Choices = []schema.Choice{{Label: "A", Text: "é"}}
	rows[0].Extra = schema.Fields{{Name: "level", Raw: []byte("3")}, {Name: "x y", Raw: []byte(`["a"]`)}}
	rows[1].Paths = []schema.Path{
		{Style: "cot", Prompt: "p", Response: "r", FinishReason: "stop", Pred: "1", Correct: &yes, Span: &schema.Span{Start: 2, End: 3}, Judge: &schema.Judge{Valid: true}},
		{Style: "plain", Replicate: 4, Error: "timeout"},
	}
	out := runStage(t, t.Context(), Export, `{"format": "parquet"}`, 0, nil, map[string][]schema.Problem{"rows": rows})
	if out.err != nil {
		t.Fatal(out.err)
	}
	got, err := parquet.ReadFile[parquetRow](filepath.Join(out.dir, "rows.parquet"))
	if err != nil || len(got) != 3 {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	if got[0].ID != "p0" || got[0].Choices[0].Text != "é" || *got[0].Extra != `{"level":3,"x y":["a"]}` || got[2].Extra != nil {
		t.Errorf("rows differ: %+v", got)
	}
	p := got[1].Paths
	if len(p) != 2 || !*p[0].Correct || *p[0].SpanStart != 2 || !*p[0].JudgeValid || p[1].Correct != nil || p[1].Replicate != 4 || p[1].Error != "timeout" {
		t.Errorf("paths differ: %+v", p)
	}
	out = runStage(t, t.Context(), Export, `{"format": "parquet", "layout": "messages"}`, 0, nil, map[string][]schema.Problem{"rows": rows})
	chats, err := parquet.ReadFile[parquetChat](filepath.Join(out.dir, "rows.parquet"))
	want := []parquetChat{{Messages: []message{{"user", "p"}, {"assistant", "r"}}, ID: "p1", Task: "gsm8k", Style: "cot"}}
	if d := cmp.Diff(want, chats); d != "" || err != nil {
		t.Error(err, d)
	}
	thought := "Two."
	rows[1].Paths[0].Reasoning = thought
	out = runStage(t, t.Context(), Export, `{"format": "parquet", "layout": "messages", "reasoning": "field"}`, 0, nil, map[string][]schema.Problem{"rows": rows})
	reasoned, err := parquet.ReadFile[parquetReasoned](filepath.Join(out.dir, "rows.parquet"))
	asField := []parquetReasoned{{Messages: []reasonedMessage{{"user", "p", nil}, {"assistant", "r", &thought}}, ID: "p1", Task: "gsm8k", Style: "cot"}}
	if d := cmp.Diff(asField, reasoned); d != "" || err != nil {
		t.Error(err, d)
	}
	out = runStage(t, t.Context(), Export, `{"format": "parquet", "layout": "messages", "reasoning": "inline"}`, 0, nil, map[string][]schema.Problem{"rows": rows})
	chats, err = parquet.ReadFile[parquetChat](filepath.Join(out.dir, "rows.parquet"))
	want[0].Messages[1].Content = "<think>\nTwo.\n</think>\n\nr"
	if d := cmp.Diff(want, chats); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestOriginalRoundTrip: what export writes in the original's layout comes back
// through import as it was, and import's correct rows are export's.
func TestOriginalRoundTrip(t *testing.T) {
	yes, no := true, false
	rows := numbered(3)
	rows[0].Paths = []schema.Path{{Style: "cot", Prompt: "p", Response: "r", FinishReason: "stop", Pred: "1", Correct: &yes}, {Style: "plain", Replicate: 1, Response: "s", FinishReason: "length", Correct: &no}}
	rows[1].Paths = []schema.Path{{Style: "cot", Prompt: "p", Error: "timeout"}}
	out := runStage(t, t.Context(), Export, `{"layout": "original", "name": "x"}`, 0, nil, map[string][]schema.Problem{"rows": rows})
	if out.err != nil {
		t.Fatal(out.err)
	}
	read := func(name string) outcome {
		config, err := json.Marshal(map[string]string{"root": filepath.Join(out.dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		return runStage(t, t.Context(), Import, string(config), 0, nil, nil)
	}
	all := read("x.enriched.jsonl")
	if d := cmp.Diff(rows, all.rows["rows"]); d != "" || all.err != nil {
		t.Error(all.err, d)
	}
	if d := cmp.Diff(all.rows["correct"], read("x.correct.jsonl").rows["rows"]); d != "" {
		t.Error(d)
	}
}

func BenchmarkFilterStage(b *testing.B) {
	row := []byte(`{"id":"p","task":"gsm8k","question":"How many apples are there?","gold_answer":"7","level":3,"paths":[{"style":"cot","replicate":0,"prompt":"p","response":"a longer answer of the teacher","finish_reason":"stop","pred":"7","correct":true},{"style":"plain","replicate":0,"prompt":"p","response":"another","finish_reason":"stop","pred":"8","correct":false}]}` + "\n")
	path := filepath.Join(b.TempDir(), "rows")
	const n = 20_000
	if err := os.WriteFile(path, bytes.Repeat(row, n), 0o644); err != nil {
		b.Fatal(err)
	}
	reg, err := stage.NewRegistry(Filter)
	if err != nil {
		b.Fatal(err)
	}
	for _, config := range []string{`{"where": "true"}`, `{"where": "level > 2 and len(question) > 5"}`, `{"where": "any(paths, .correct)"}`, `{"paths": "correct"}`} {
		b.Run(config, func(b *testing.B) {
			dir := b.TempDir()
			task := stage.Task{Type: "filter", Version: 1, Config: json.RawMessage(config), WorkDir: dir,
				Inputs:  map[string][]stage.Input{"rows": {{Path: path}}},
				Outputs: map[string]string{"rows": filepath.Join(dir, "o"), "dropped": filepath.Join(dir, "d")}}
			for b.Loop() {
				if _, err := reg.Run(context.Background(), task, stage.Services{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}

// TestJoinCountsPartnersOnce: two rows with one partner leave the others unused.
func TestJoinCountsPartnersOnce(t *testing.T) {
	with := numbered(2)
	out := runStage(t, t.Context(), Join, `{}`, 1, nil, map[string][]schema.Problem{"rows": {with[0], with[0]}, "with": with})
	want := []string{"left out 1 of the 2 rows of with, which have no partner"}
	if out.err != nil || !slices.Equal(out.warns, want) || len(out.rows["rows"]) != 2 {
		t.Errorf("%v, warnings %q, %d rows", out.err, out.warns, len(out.rows["rows"]))
	}
}
