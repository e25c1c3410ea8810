package flow

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Runs that save a folder to one place at the same time leave one of them, whole.
func TestReplaceFolderAtOnce(t *testing.T) {
	dir := t.TempDir()
	dst := filepath.Join(dir, "out", "saved")
	var g parallel.Group
	for i := range 8 {
		src := filepath.Join(dir, fmt.Sprint("src", i))
		for _, name := range []string{"a", "b"} {
			if err := os.MkdirAll(src, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(src, name), fmt.Append(nil, i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		g.Go(func() error {
			for range 50 {
				if err := replaceFolder(src, dst); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(filepath.Join(dst, "a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dst, "b"))
	if err != nil || string(a) != string(b) {
		t.Errorf("%s and %s (%v)", a, b, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "out", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
