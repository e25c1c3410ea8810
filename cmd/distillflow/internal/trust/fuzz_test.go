package trust

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// What is remembered is what the file says afterwards, and nothing else, whatever a recipe
// calls its servers and folders.
func FuzzRemember(f *testing.F) {
	f.Add("# mine\nfolder /data/a b\nhost llm.lab.example:8000\n", "host", "h", "# a of r.yaml")
	f.Add("host a", "host", "b", "")
	f.Add("folder /a\r\n\n  exec 8f3c # x", "folder", "/a b", "")
	f.Add("", "host", "x\nfolder /", "# a")
	f.Add("", "folder", "/a ", "")
	f.Add("", "host", "a\u2028b", "# \r")
	path := filepath.Join(f.TempDir(), "trust")
	f.Fuzz(func(t *testing.T, text, kind, what, about string) {
		if kind = map[string]string{"folder": "folder", "exec": "exec", "save": "save"}[kind]; kind == "" {
			kind = "host"
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var before *File
		alloctest.Within(t, len(text), 200, 1<<20, func() {
			var err error
			if before, err = Read(path); err != nil {
				t.Fatal(err)
			}
		})
		want := slices.Clone(before.lines)
		known := before.allows(kind, what)
		err := before.Remember([]Line{{kind, what, about}, {kind, what, ""}})
		if err == nil && !known {
			want = append(want, [2]string{kind, what})
		}
		if !slices.Equal(before.lines, want) {
			t.Errorf("%q allows %q, want %q", text, before.lines, want)
		}
		after, err := Read(path)
		if err != nil || !slices.Equal(after.lines, want) {
			t.Errorf("%q read again allows %q (%v), want %q", text, after.lines, err, want)
		}
	})
}
