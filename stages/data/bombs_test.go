package data

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// Rows of somebody else may be nested without end, or be one line without end: each is a
// bad line or ends the reading, and takes neither the stack nor the memory.
func TestRowBombs(t *testing.T) {
	const n = 30_000
	head := `{"id":"a","question":"Two and three?","answer":"5","x":`
	good := `{"id":"b","question":"Two and three?","answer":"5"}`
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	text := strings.Join([]string{
		head + strings.Repeat("[", n) + strings.Repeat("]", n) + "}",
		head + strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) + "}",
		strings.Repeat("[", n), strings.Repeat(`{"a":`, n), good,
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var rows, bad int
	for p, err := range stage.RowsFrom[schema.Problem](file, "rows").All() {
		switch {
		case err != nil && strings.Contains(err.Error(), "max depth"):
			bad++
		case err != nil:
			t.Errorf("%.200v", err)
		case p.ID == "b":
			rows++
		}
	}
	if rows != 1 || bad != 4 {
		t.Errorf("%d rows and %d bad lines", rows, bad)
	}
	var last error
	for _, err := range stage.Lines(endless{}) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "is longer than 256 MiB") {
		t.Errorf("a line without end: %.200v", last)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }
