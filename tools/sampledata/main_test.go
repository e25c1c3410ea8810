package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCommittedDataIsFresh compares recipes/data with what the generator writes
// now, in both directions.
func TestCommittedDataIsFresh(t *testing.T) {
	root := filepath.Join("..", "..", "recipes", "data")
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
			t.Errorf("%s is stale: run go run ./tools/sampledata", name)
		}
	}
	found, err := filepath.Glob(filepath.Join(root, "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		rel, err := filepath.Rel(root, f)
		if err != nil {
			t.Fatal(err)
		}
		if files[rel] == nil {
			t.Errorf("%s is no output of the generator: remove it", rel)
		}
	}
}
