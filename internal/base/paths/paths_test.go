package paths

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

func TestSettings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("other variables")
	}
	for want, env := range map[string]map[string]string{
		"/x/distillflow": {"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/h/.config/distillflow": {"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "": {"XDG_CONFIG_HOME": "x"},
	} {
		if got := Settings(func(n string) string { return env[n] }); got != want {
			t.Errorf("%v: %q", env, got)
		}
	}
}

// Neither a file without end nor a pipe that nobody writes to is read.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	if err := os.WriteFile(small, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFile(small, 3); err != nil || string(b) != "abc" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := ReadFile(small, 2); err == nil || !strings.Contains(err.Error(), "larger than 2 bytes") {
		t.Error(err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none"), 2); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, other := range []string{dir, os.DevNull} {
		if _, err := ReadFile(other, 2); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Error(other, err)
		}
	}
}
