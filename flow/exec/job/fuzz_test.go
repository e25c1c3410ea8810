package job

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// Whatever a worker writes, its reader goes to the end and passes on nothing without content.
func FuzzRelay(f *testing.F) {
	f.Add(`{"progress":{"done":1}}` + "\nnoise\n" + `{"warning":"w"}` + "\n" + `{"result":{"rows":{"a":1}}}`)
	f.Add(`{"error":"x","final":true}` + "\n" + `{"result":null}` + "\n[]\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		r := strings.NewReader(text)
		last := Relay(r, exec.Hooks{Progress: func(stage.Progress) { n++ }, Warn: func(s string) {
			if n++; s == "" {
				t.Error("an empty warning")
			}
		}})
		if r.Len() > 0 || n > strings.Count(text, "\n")+1 {
			t.Errorf("%d messages, %d bytes left", n, r.Len())
		}
		if last.Result == nil && last.Error == "" && last.Progress != nil {
			t.Errorf("the last message is %+v", last)
		}
	})
}

// A result, whatever a stranger wrote into a folder that others may write, moves nothing
// but the worker's own outputs.
func FuzzCollect(f *testing.F) {
	sum := sha256.Sum256([]byte("{}\n"))
	file := `"size":3,"sha256":"` + hex.EncodeToString(sum[:]) + `"`
	f.Add([]byte(`{"result":{"rows":{"rows":1}},"out":"out-1","files":{"rows":[{` + file + `}]}}`))
	f.Add([]byte(`{"out":"..","files":{"rows":[{` + file + `}]}}`))
	f.Add([]byte(`{"out":"","files":{"rows":[{"name":"../x",` + file + `}]}}`))
	f.Add([]byte(`{"out":"out-1","files":{"rows":[{"name":".",` + file + `},{"name":"",` + file + `}]}}`))
	f.Add([]byte(`{"error":"x","shortage":"time","out":"/"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		root := t.TempDir()
		folder := Folder(filepath.Join(root, "job"))
		files := []string{filepath.Join(root, "rows"), folder.File("rows"), folder.File("out-1/rows")}
		for _, name := range files {
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("{}\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(folder.File(resultFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(root, "wanted")
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			_, err := folder.Collect(stage.Task{Outputs: map[string]string{"rows": to}})
			if _, serr := os.Stat(to); (serr == nil) != (err == nil) {
				t.Errorf("%q: %v, but %v", b, err, serr)
			}
		})
		for _, name := range files[:2] {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%q: %v", b, err)
			}
		}
	})
}
