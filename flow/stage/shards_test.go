package stage

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShardSizes(t *testing.T) {
	for _, c := range []struct {
		rows int64
		n    int
		want []int64
	}{
		{0, 3, []int64{0}}, {1, 3, []int64{1}}, {3, 3, []int64{1, 1, 1}}, {10, 3, []int64{3, 3, 4}}, {10, 1, []int64{10}}, {7, 4, []int64{1, 2, 2, 2}},
	} {
		if d := cmp.Diff(c.want, ShardSizes(c.rows, c.n)); d != "" {
			t.Errorf("%d rows among %d: %s", c.rows, c.n, d)
		}
	}
}

type memory struct{ bytes.Buffer }

func (*memory) Close() error { return nil }

// Random files, with lines about as long as the buffer and without a last line feed: the
// shards hold the lines, and together they are the file.
func TestSplitLinesProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 17))
	sizes := []int{0, 1, 7, 300, bufferSize - 2, bufferSize - 1, bufferSize, bufferSize + 1, 2 * bufferSize}
	for range 200 {
		var text strings.Builder
		lines := r.IntN(12)
		for i := range lines {
			text.WriteString(strings.Repeat("x", sizes[r.IntN(len(sizes))]))
			if i < lines-1 || r.IntN(2) == 0 || text.Len() == 0 || strings.HasSuffix(text.String(), "\n") {
				text.WriteByte('\n')
			}
		}
		path := filepath.Join(t.TempDir(), "rows")
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := CountLines(path)
		if err != nil || n != int64(lines) {
			t.Fatalf("%d lines counted, want %d (%v)", n, lines, err)
		}
		shares := ShardSizes(n, 1+r.IntN(15))
		parts, left := make([]memory, len(shares)), r.IntN(len(shares)+1)
		err = SplitLines(path, shares, func(i int) (io.WriteCloser, error) {
			if i == left {
				return nil, nil
			}
			return &parts[i], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		rest := text.String()
		for i := range parts {
			own := strings.Join(strings.SplitAfterN(rest, "\n", int(shares[i])+1)[:shares[i]], "")
			rest = strings.TrimPrefix(rest, own)
			if i == left {
				own = ""
			}
			if parts[i].String() != own {
				t.Fatalf("shard %d of %v has %d bytes, want %d", i, shares, parts[i].Len(), len(own))
			}
		}
		if rest != "" {
			t.Fatalf("%d bytes are in no shard", len(rest))
		}
		if n > 0 && SplitLines(path, []int64{n + 1}, func(int) (io.WriteCloser, error) { return nil, nil }) == nil {
			t.Fatal("a file that became shorter went unnoticed")
		}
	}
}

func TestMerge(t *testing.T) {
	a := Result{Rows: map[string]int64{"x": 1, "y": 2}, Stats: map[string]float64{"usd": 1, "share": 1}, Means: map[string]Mean{"share": {1, 1}}}
	b := Result{Rows: map[string]int64{"x": 3}, Stats: map[string]float64{"usd": 0.5}, Incomplete: "one is missing"}
	c := Result{Stats: map[string]float64{"failed": 2, "share": 0}, Means: map[string]Mean{"share": {0, 3}}, Incomplete: "two are"}
	want := Result{
		Rows: map[string]int64{"x": 4, "y": 2}, Stats: map[string]float64{"usd": 1.5, "share": 0.25, "failed": 2},
		Means: map[string]Mean{"share": {1, 4}}, Incomplete: "shard 2/3: one is missing (and 1 more shards)",
	}
	if d := cmp.Diff(want, Merge([]Result{a, b, c})); d != "" {
		t.Error(d)
	}
}

type item struct{}

func (item) RecordType() string { return "item" }

type shardIn struct {
	Rows  Rows[item]   `port:"rows" doc:"Rows."`
	Many  []Rows[item] `port:"many" doc:"Rows."`
	Maybe Rows[item]   `port:"maybe,optional" doc:"Rows."`
	Dir   Dir          `port:"dir,optional" doc:"A folder."`
}

type shardOut struct {
	Rows *Writer[item] `port:"rows" doc:"Rows."`
}

type shardDirOut struct {
	Dir *OutDir `port:"dir" doc:"A folder."`
}

func TestTypesThatWorkRowByRow(t *testing.T) {
	spec := Spec{Type: "x", Version: 1, Class: Pure, Doc: "Nothing."}
	for port, good := range map[string]bool{"": true, "rows": true, "many": false, "maybe": false, "dir": false, "other": false} {
		s := spec
		s.RowByRow = port
		_, err := NewRegistry(Define(s, func(context.Context, *Env, struct{}, shardIn, shardOut) error { return nil }))
		if (err == nil) != good {
			t.Errorf("input %q: %v", port, err)
		}
	}
	spec.RowByRow = "rows"
	_, err := NewRegistry(Define(spec, func(context.Context, *Env, struct{}, shardIn, shardDirOut) error { return nil }))
	if err == nil || !strings.Contains(err.Error(), `"dir" is not of rows`) {
		t.Errorf("an output folder: %v", err)
	}
}
