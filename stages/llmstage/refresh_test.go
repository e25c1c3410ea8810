package llmstage

import (
	"path/filepath"
	"testing"
)

func TestRefreshName(t *testing.T) {
	dir := t.TempDir()
	a, err := refreshName(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := refreshName(dir); err != nil || a != b || a == "" {
		t.Errorf("%q and %q in one folder, %v", a, b, err)
	}
	if b, err := refreshName(t.TempDir()); err != nil || a == b {
		t.Errorf("two folders share %q, %v", b, err)
	}
	if _, err := refreshName(filepath.Join(dir, "refresh")); err == nil {
		t.Error("a file was taken for a folder")
	}
}
