package runrecord

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/store"
)

// A file of events is read in two steps as in one, up to its last whole line.
func FuzzEvents(f *testing.F) {
	f.Add(`{"time":"2026-01-02T03:04:05Z","kind":"run_started","run":"x"}`+"\n{\n"+`{"kind":"stage_done","stage":"a","progress":null}`+"\n{\"kind\"", 30)
	f.Add("\n\n[]\nnull\n", 1)
	f.Add(strings.Repeat("[", 20_000)+"\n", 5)
	st, err := store.Open(f.TempDir(), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = st.Close() })
	const id = "run"
	path := filepath.Join(st.RunDir(id), "events.jsonl")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		write := func(s string) {
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(text[:uint(cut)%uint(len(text)+1)])
		first, at, err := Events(st, id, 0)
		if err != nil {
			t.Fatal(err)
		}
		write(text)
		second, next, err := Events(st, id, at)
		if err != nil {
			t.Fatal(err)
		}
		all, end, err := Events(st, id, 0)
		if err != nil || len(all) != len(first)+len(second) || end != next || end != int64(strings.LastIndexByte(text, '\n')+1) {
			t.Errorf("%d and %d events to byte %d, at once %d to %d (%v)", len(first), len(second), next, len(all), end, err)
		}
	})
}
