package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// TestIDIndexAgainstMap compares with a map that holds everything: the repeats
// that add sees and those that the merge finds must together be the map's.
func TestIDIndexAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []int{1, 3, 50, 400, 10_000} {
		for _, kinds := range []int{40, 1000, 1 << 40} {
			dir := t.TempDir()
			x := newIDIndex(limit, scratchIn(dir))
			first, want, got := map[idKey]uint64{}, map[idKey]int{}, map[idKey]int{}
			for at := uint64(1); at <= 900; at++ {
				k := keyOf(fmt.Sprint(r.IntN(kinds)))
				if first[k] == 0 {
					first[k] = at
				} else {
					want[k]++
				}
				prev, twice, err := x.add(k, at)
				if err != nil {
					t.Fatal(err)
				}
				if twice {
					got[k]++
					if prev < first[k] || prev >= at {
						t.Fatalf("%d is said to be at %d, it is first at %d", at, prev, first[k])
					}
				}
			}
			// An id that comes in two runs is met in the merge once for each run but
			// the first.
			if err := x.repeats(func(r repeat) {
				got[r.key]++
				if r.first != first[r.key] || r.second <= r.first {
					t.Errorf("repeat %+v, first at %d", r, first[r.key])
				}
			}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(idKey{})); d != "" {
				t.Errorf("limit %d, %d kinds: %s", limit, kinds, d)
			}
			if x.n > limit || len(x.table) > 512 && limit < 300 {
				t.Errorf("limit %d: %d ids in a table of %d", limit, x.n, len(x.table))
			}
			if err := x.close(); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("limit %d: %s is left", limit, left[0].Name())
			}
		}
	}
}

func TestIDIndexWithoutScratch(t *testing.T) {
	full := errors.New("no space left")
	x := newIDIndex(2, func() (*os.File, error) { return nil, full })
	var err error
	for at := uint64(1); at < 10 && err == nil; at++ {
		_, _, err = x.add(keyOf(fmt.Sprint(at)), at)
	}
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "duplicate ids") {
		t.Errorf("error %v", err)
	}
	if err := x.close(); err != nil {
		t.Error(err)
	}
}

func TestCopyCounterAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, limit := range []int{1, 10, 100, 1000} {
		ids := make([]string, 500)
		for i := range ids {
			ids[i] = fmt.Sprint(r.IntN(300))
		}
		c := copyCounter{limit: limit, scratch: scratchIn(t.TempDir()), all: func(add func(string) error) error {
			for _, id := range ids {
				if err := add(id); err != nil {
					return err
				}
			}
			return nil
		}}
		want := map[string]int{}
		for _, id := range ids {
			want[id]++
			if n, err := c.next(id); n != want[id] || err != nil {
				t.Fatalf("limit %d: copy %d of %s is said to be %d, %v", limit, want[id], id, n, err)
			}
		}
		maps.DeleteFunc(want, func(_ string, n int) bool { return n == 1 })
		if c.known && len(c.counts) != len(want) {
			t.Errorf("limit %d: %d counts are kept, %d ids come again", limit, len(c.counts), len(want))
		}
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

// within runs a stage with few ids in memory.
func within(t *testing.T, typ *stage.Type, config string, inputs map[string][]stage.Input, ports ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	reg, err := stage.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range ports {
		out[p] = filepath.Join(dir, p)
	}
	_, err = reg.Run(t.Context(), stage.Task{Stage: "s", Type: typ.Type, Version: typ.Version, Config: []byte(config),
		Inputs: inputs, Outputs: out, WorkDir: filepath.Join(dir, "work")}, stage.Services{Warn: func(string) {}})
	if left, _ := os.ReadDir(filepath.Join(dir, "work")); len(left) > 0 {
		t.Errorf("%s is left in the work folder", left[0].Name())
	}
	return out[ports[0]], err
}

// smallScan and its like hold four ids in memory.
var (
	smallScan = stage.Define(Scan.Spec, func(ctx context.Context, env *stage.Env, c scanConfig, _ scanIn, out scanOut) error {
		return scanWithin(ctx, env, c, out, 4)
	})
	smallImport = stage.Define(Import.Spec, func(ctx context.Context, env *stage.Env, c importConfig, _ importIn, out importOut) error {
		return importWithin(ctx, env, c, out, 4)
	})
	smallConcat = stage.Define(Concat.Spec, func(ctx context.Context, env *stage.Env, c concatConfig, in concatIn, out concatOut) error {
		return concatWithin(ctx, env, c, in, out, 4)
	})
)

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

// TestIDsInLittleMemory checks that rows get the same ids whether all fit into
// memory or next to none.
func TestIDsInLittleMemory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.jsonl", idRows())
	write(t, dir, "b.jsonl", strings.ReplaceAll(idRows(), "given", "other"))
	for _, pair := range [][2]*stage.Type{{Scan, smallScan}, {Import, smallImport}} {
		config := fmt.Sprintf(`{"root":%q,"task":"gsm8k"}`, dir)
		ports := []string{"problems", "quarantine"}
		if pair[0] == Import {
			ports = []string{"rows", "correct", "quarantine"}
		}
		var ids [2][]string
		for i, typ := range pair {
			out, err := within(t, typ, config, nil, ports...)
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = readRows(t, out)
		}
		if d := cmp.Diff(ids[0], ids[1]); d != "" || len(ids[0]) != 120 {
			t.Errorf("%s: %d rows: %s", pair[0].Type, len(ids[0]), d)
		}
	}
}

func TestDuplicateIDsInLittleMemory(t *testing.T) {
	dir := t.TempDir()
	rows := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "{\"id\":\"%s%d\",\"question\":\"q\",\"answer\":\"1\"}\n", prefix, i)
		}
		return b.String()
	}
	a := write(t, dir, "a.jsonl", rows("a", 30)+rows("c", 1)+rows("a", 3))
	b := write(t, dir, "b.jsonl", "\n"+rows("a", 1)+rows("b", 30))
	want := fmt.Sprintf("%s:32: id \"a0\" is taken by %s:1: ids must be unique", a, a)
	for _, typ := range []*stage.Type{smallScan, smallImport} {
		ports := []string{"problems", "quarantine"}
		if typ == smallImport {
			ports = []string{"rows", "correct", "quarantine"}
		}
		_, err := within(t, typ, fmt.Sprintf(`{"root":%q,"task":"gsm8k"}`, dir), nil, ports...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s in one file: %v, want %s", typ.Type, err, want)
		}
		write(t, dir, "a.jsonl", rows("a", 30))
		_, err = within(t, typ, fmt.Sprintf(`{"root":%q,"task":"gsm8k"}`, dir), nil, ports...)
		across := fmt.Sprintf("%s:2: id \"a0\" is taken by %s:1: ", b, a)
		if err == nil || !strings.Contains(err.Error(), across) {
			t.Errorf("%s in two files: %v, want %s", typ.Type, err, across)
		}
		write(t, dir, "a.jsonl", rows("a", 30)+rows("c", 1)+rows("a", 3))
	}

	inputs := map[string][]stage.Input{"rows": {
		{Path: write(t, dir, "1", rows("a", 20)), Label: "one"},
		{Path: write(t, dir, "2", ""), Label: "two"},
		{Path: write(t, dir, "3", rows("x", 20)+rows("a", 1)+rows("x", 2)), Label: "three"},
	}}
	_, err := within(t, smallConcat, `{}`, inputs, "rows")
	if err == nil || !strings.Contains(err.Error(), `id "a0" occurs in source 1 of concat and again in source 3`) {
		t.Errorf("concat: %v", err)
	}
	var ids [2][]string
	for i, typ := range []*stage.Type{Concat, smallConcat} {
		out, err := within(t, typ, `{"duplicates":"first"}`, inputs, "rows")
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = readRows(t, out)
	}
	if d := cmp.Diff(ids[0], ids[1]); d != "" || len(ids[0]) != 40 {
		t.Errorf("concat, first: %d rows: %s", len(ids[0]), d)
	}
}
