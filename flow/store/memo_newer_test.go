package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a newer program has written is refused, for its answers would be bought again. A
// damaged header is none of that: its records are read.
func TestMemoNewer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(segment []byte) []byte
		want   string // in the error; "" for none
	}{
		"newer":       {func([]byte) []byte { return []byte("DFMEMO2\n" + strings.Repeat("something else", 50)) }, "has format 2, this program knows 1: use a newer distillflow"},
		"much newer":  {func([]byte) []byte { return []byte("DFMEMO12\n" + strings.Repeat("something else", 50)) }, "has format 12"},
		"a bit":       {func(b []byte) []byte { b[6] = '3'; return b }, ""},
		"no number":   {func(b []byte) []byte { b[6] = 'x'; return b }, ""},
		"just begun":  {func([]byte) []byte { return []byte("DFMEMO2\n") }, "has format 2"},
		"as it stood": {func(b []byte) []byte { return b }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m, _ := openMemo(t, dir, MemoOptions{})
			if err := m.Put(memoKey(1), memoValue(1)); err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.dfm"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			b, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files[0], c.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err = OpenMemo(dir, MemoOptions{})
			var got []byte
			if err == nil {
				defer m.Close()
				got, _, err = m.Get(memoKey(1))
			}
			switch {
			case c.want == "" && (err != nil || string(got) != string(memoValue(1))):
				t.Errorf("%d bytes, %v", len(got), err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
