package notes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Good lines of notes are read whatever stands between them, and an error names the file.
func FuzzRead(f *testing.F) {
	f.Add(`{"time":"2026-01-02T03:04:05Z","id":"a","mark":"right"}` + "\n")
	f.Add(`{"id":"a","mark":"?"}` + "\n{\n" + `{"id":"b","mark":""}`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		dir := t.TempDir()
		path := Path(dir)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		const good = "\n" + `{"id":"the good one","mark":"right"}` + "\n"
		if err := os.WriteFile(path, []byte(text+good), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := Read(dir)
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name the file", err)
		}
		found := false
		for k, n := range list {
			found = found || k.ID == "the good one"
			if n.Check() != nil || n.Mark == "" || n.Key() != k {
				t.Errorf("%+v: %+v", k, n)
			}
		}
		if !found {
			t.Errorf("%q hides a good note", text)
		}
	})
}
