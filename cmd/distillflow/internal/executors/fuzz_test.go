package executors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/slurm"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// Every mistake in the file says where it is, and reading takes memory in proportion.
func FuzzRead(f *testing.F) {
	f.Add("other: {partition: own}\nbig:\n  type: other\n  flags: [--nice]\nempty:\nlist: [a]\n")
	f.Add("cluster:\n  type: slurm\n  partition: gpu\n  time: 1h30m\n  memory: 16GB\n  cpus: .nan\n  stages:\n    train-*: {gpus: 1, serve: {command: x, ready: y}}\n")
	f.Add("a: &a {flags: [x, x, x, x, x, x, x, x, x]}\nb: *a\nc: {<<: *a, type: other}\n")
	f.Add("a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: {flags: [*b, *b, *b, *b, *b]}\n")
	f.Add("here: {}\n")
	f.Add("a: {type: [other]}\n? [b]\n: {}\n--- 1\n")
	f.Add(strings.Repeat("{a: ", 2000))
	path := filepath.Join(f.TempDir(), "executors.yaml")
	all := map[string]Kind{"toy": kinds["toy"], "other": kinds["other"], "slurm": func(settings func(any) error) (exec.Runner, error) {
		var s slurm.Settings
		return toy{}, settings(&s)
	}}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, len(text), 10_000, 4<<20, func() {
			file, err := Read(path, true, all)
			if err != nil {
				if !strings.HasPrefix(err.Error(), path+":") {
					t.Errorf("%v does not name the file", err)
				}
				return
			}
			for _, name := range file.Names() {
				r, err := file.Executor(name)
				if n, written := file.nodes[name]; err != nil && (!written || !strings.HasPrefix(err.Error(), fmt.Sprintf("%s:%d: executor %s", path, n.Line, name)) || n.Line < 1) {
					t.Errorf("%s: %v does not say where", name, err)
				}
				if (r == nil) == (err == nil) {
					t.Errorf("%s: %v, %v", name, r, err)
				}
			}
		})
	})
}
