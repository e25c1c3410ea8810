package data

import (
	stdcmp "cmp"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

func TestIDSetIsBounded(t *testing.T) {
	var s idSet[int]
	for i := range 3 {
		if _, twice, err := s.addWithin(fmt.Sprint(i), i, 3); twice || err != nil {
			t.Fatal(i, twice, err)
		}
	}
	if first, twice, err := s.addWithin("1", 9, 3); first != 1 || !twice || err != nil {
		t.Errorf("an id again in a full set: %d, %v, %v", first, twice, err)
	}
	if _, _, err := s.addWithin("3", 3, 3); err == nil || !strings.Contains(err.Error(), "more than 3 rows") {
		t.Errorf("one id too many: %v", err)
	}
}

func TestRowMemoryIsBounded(t *testing.T) {
	var m rowMemory
	for range 2 {
		if err := m.holdWithin(400, 1000); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.holdWithin(400, 1000); err == nil || !strings.Contains(err.Error(), "the first 3 rows takes 1.5 KiB of memory, and it holds at most 1000 B") {
		t.Errorf("one row too many: %v", err)
	}
}

func readRows(t *testing.T, path string) []string {
	t.Helper()
	var ids []string
	for r, err := range stage.RowsFrom[schema.Problem](path, "rows").All() {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// runToFile runs a stage and gives the file of its first port.
func runToFile(t *testing.T, typ *stage.Type, config string, inputs map[string][]stage.Input) (string, error) {
	t.Helper()
	dir := t.TempDir()
	reg, err := stage.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range typ.Outputs {
		out[p.Name] = filepath.Join(dir, p.Name)
	}
	_, err = reg.Run(t.Context(), stage.Task{Stage: "s", Type: typ.Type, Version: typ.Version, Config: []byte(config),
		Inputs: inputs, Outputs: out, WorkDir: filepath.Join(dir, "work")}, stage.Services{Warn: func(string) {}})
	return out[typ.Outputs[0].Name], err
}

// idRows are 60 rows of which some are copies of others up to white space, and
// some have ids.
func idRows() string {
	var b strings.Builder
	for i := range 60 {
		switch {
		case i%7 == 3:
			fmt.Fprintf(&b, `{"id":"given-%d","question":"q","answer":"1"}`, i)
		default:
			fmt.Fprintf(&b, `{"question": %s"q%d","answer":"1"}`, strings.Repeat(" ", i%3), i%23)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestIDs checks the ids that rows get, whether scan or import reads them.
func TestIDs(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.jsonl", idRows())
	write(t, dir, "b.jsonl", strings.ReplaceAll(idRows(), "given", "other"))
	for _, typ := range []*stage.Type{Scan, Import} {
		out, err := runToFile(t, typ, fmt.Sprintf(`{"root":%q,"task":"gsm8k"}`, dir), nil)
		if err != nil {
			t.Fatal(err)
		}
		ids := readRows(t, out)
		copies := map[string]int{}
		for i, id := range ids {
			row, named := i%60, []string{"given", "other"}[i/60]
			if row%7 == 3 {
				if want := fmt.Sprintf("%s-%d", named, row); id != want {
					t.Errorf("%s: row %d has the id %s, want %s", typ.Type, i, id, want)
				}
				continue
			}
			want := hashID("gsm8k", fmt.Appendf(nil, `{"question": "q%d","answer":"1"}`, row%23))
			if copies[want]++; copies[want] > 1 {
				want += fmt.Sprint("-", copies[want])
			}
			if id != want {
				t.Errorf("%s: row %d has the id %s, want %s", typ.Type, i, id, want)
			}
		}
		if len(ids) != 120 {
			t.Errorf("%s: %d rows", typ.Type, len(ids))
		}
	}
}

func TestDuplicateIDs(t *testing.T) {
	dir := t.TempDir()
	rows := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "{\"id\":\"%s%d\",\"question\":\"q\",\"answer\":\"1\"}\n", prefix, i)
		}
		return b.String()
	}
	for _, typ := range []*stage.Type{Scan, Import} {
		config := fmt.Sprintf(`{"root":%q,"task":"gsm8k"}`, dir)
		a := write(t, dir, "a.jsonl", rows("a", 30)+rows("c", 1)+rows("a", 3))
		b := write(t, dir, "b.jsonl", "\n"+rows("a", 1)+rows("b", 30))
		want := fmt.Sprintf("%s:32: id \"a0\" is taken by %s:1: ids must be unique", a, a)
		if _, err := runToFile(t, typ, config, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s in one file: %v, want %s", typ.Type, err, want)
		}
		write(t, dir, "a.jsonl", rows("a", 30))
		want = fmt.Sprintf("%s:2: id \"a0\" is taken by %s:1: ", b, a)
		if _, err := runToFile(t, typ, config, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s in two files: %v, want %s", typ.Type, err, want)
		}
	}

	inputs := map[string][]stage.Input{"rows": {
		{Path: write(t, dir, "1", rows("a", 20)), Label: "one"},
		{Path: write(t, dir, "2", ""), Label: "two"},
		{Path: write(t, dir, "3", rows("x", 20)+rows("a", 1)+rows("x", 2)), Label: "three"},
	}}
	_, err := runToFile(t, Concat, `{}`, inputs)
	if err == nil || !strings.Contains(err.Error(), `id "a0" occurs in source 1 of concat and again in source 3`) {
		t.Errorf("concat: %v", err)
	}
	out, err := runToFile(t, Concat, `{"duplicates":"first"}`, inputs)
	if err != nil {
		t.Fatal(err)
	}
	if ids := readRows(t, out); len(ids) != 40 {
		t.Errorf("concat, first: %d rows", len(ids))
	}
}

// TestSortIsStable sorts rows with many equals as the standard library does.
func TestSortIsStable(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	type row struct{ id, question, level int }
	rows := make([]row, 500)
	var b strings.Builder
	for i := range rows {
		rows[i] = row{i, r.IntN(20), r.IntN(4)}
		fmt.Fprintf(&b, `{"id":"%d","task":"gsm8k","question":"q%02d","gold_answer":"1","level":%d}`+"\n", i, rows[i].question, rows[i].level)
	}
	inputs := map[string][]stage.Input{"rows": {{Path: write(t, t.TempDir(), "rows", b.String()), Label: "rows"}}}
	out, err := runToFile(t, Sort, `{"by":["level desc","question"]}`, inputs)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return stdcmp.Or(b.level-a.level, a.question-b.question) })
	for i, id := range readRows(t, out) {
		if id != fmt.Sprint(rows[i].id) {
			t.Fatalf("row %d is %s, want %d", i, id, rows[i].id)
		}
	}
}

// BenchmarkIDs notes ids while rows come and go, as the garbage collector sees it.
func BenchmarkIDs(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				var s idSet[spot]
				for i := range n {
					row := make([]*[64]byte, 64)
					row[i%64] = new([64]byte)
					if _, _, err := s.add(fmt.Sprintf("row-%07d", i), spot{line: i}); err != nil || row[0] != nil && row[1] != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/id")
		})
	}
}
