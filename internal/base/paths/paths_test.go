package paths

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestRelative(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for path, want := range map[string]string{
		filepath.Join(dir, "a", "b"):          filepath.Join("a", "b"),
		filepath.Join(filepath.Dir(dir), "c"): filepath.Join(filepath.Dir(dir), "c"),
	} {
		if got := Relative(path); got != want {
			t.Errorf("Relative(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestCause(t *testing.T) {
	_, err := os.Open(filepath.Join(t.TempDir(), "none"))
	if got := Cause(err); got == err || !errors.Is(got, fs.ErrNotExist) {
		t.Errorf("got %v", got)
	}
	other := errors.New("other")
	if got := Cause(other); got != other {
		t.Errorf("got %v", got)
	}
}
