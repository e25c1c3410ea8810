package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A sheet gives notes that are sound, or an error that names the file.
func FuzzReadSheet(f *testing.F) {
	f.Add("mark,comment,id,replicate\nright,'=x,a,0\n,,b,1\n", false)
	f.Add("\ufeffmark;id\nwrong;a\n", false)
	f.Add("mark,id\n\"a\n", false)
	f.Add("id\nx\n", false)
	f.Add(`{"mark":"right","id":"a"}`+"\n\n"+`{"mark":"","id":""}`+"\n[", true)
	f.Fuzz(func(t *testing.T, text string, lines bool) {
		name := "sheet.csv"
		if lines {
			name = "sheet.jsonl"
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, len(text), 500, 1<<20, func() {
			list, err := ReadSheet(path)
			if err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
			for _, n := range list {
				if n.Check() != nil || n.Mark == "" {
					t.Errorf("%+v", n)
				}
			}
			if len(list) > strings.Count(text, "\n")+1 {
				t.Errorf("%d notes", len(list))
			}
		})
	})
}
