package data

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

func TestScanEstimate(t *testing.T) {
	dir := t.TempDir()
	row := `{"question": "q", "answer": "1"}`
	for _, c := range []struct {
		name, text string
		cfg        scanConfig
		want       stage.Range
	}{
		{"lines", row + "\n" + row + "\n", scanConfig{OnError: onError}, stage.Range{Min: 2, Max: 2}},
		{"no final line end", row + "\n" + row, scanConfig{OnError: onError}, stage.Range{Min: 2, Max: 2}},
		{"blank lines", "\n \n" + row + "\r\n\r\n\t", scanConfig{OnError: onError}, stage.Range{Min: 1, Max: 1}},
		{"long lines", strings.Repeat(strings.Repeat(" ", 300<<10)+row+"\n", 3), scanConfig{OnError: onError}, stage.Range{Min: 3, Max: 3}},
		{"bad lines are left out", row + "\nx\n", scanConfig{OnError: onSkip}, stage.Range{Min: 0, Max: 2}},
		{"a limit", row + "\n" + row + "\n", scanConfig{OnError: onError, Limit: 1}, stage.Range{Min: 1, Max: 1}},
		{"a list", "[\n" + row + ",\n" + row + "]", scanConfig{OnError: onError}, stage.Range{Min: 2, Max: 2}},
		{"compressed", gzipped(t, row+"\n"+row), scanConfig{OnError: onError}, stage.Range{Min: 2, Max: 2}},
		{"nothing", "", scanConfig{OnError: onError}, stage.Range{}},
	} {
		path := filepath.Join(dir, "rows.jsonl")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		c.cfg.Root = stage.Path(path)
		e, err := c.cfg.Estimate(context.Background(), stage.Question{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := *e.Rows["problems"]; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	path := write(t, dir, "cut.jsonl.gz", gzipped(t, strings.Repeat(row, 100))[:40])
	for limit, want := range map[int]*stage.Range{0: nil, 3: {Max: 3}} {
		e, err := (scanConfig{Root: stage.Path(path), OnError: onError, Limit: limit}).Estimate(t.Context(), stage.Question{})
		if got := e.Rows["problems"]; err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("rows that cannot be counted, limit %d: %v, %v", limit, got, err)
		}
	}
	if _, err := (scanConfig{Root: stage.Path(filepath.Join(dir, "gone"))}).Estimate(context.Background(), stage.Question{}); err == nil {
		t.Error("a missing file was counted")
	}
}
