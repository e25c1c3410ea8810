package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
)

// TestEveryStageRunsFromATask runs the golden cases of every stage type as
// serialised tasks, each in a fresh process, and wants the outputs that the same
// task gives in this process.
func TestEveryStageRunsFromATask(t *testing.T) {
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range reg.Names() {
		typ, _ := reg.Lookup(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roots, err := filepath.Glob(filepath.Join("..", "..", "stages", "*", "testdata", name))
			if err != nil || len(roots) != 1 {
				t.Fatalf("want one folder of golden cases, found %v (%v)", roots, err)
			}
			cases, err := stagetest.Cases(roots[0])
			if err != nil || len(cases) == 0 {
				t.Fatalf("no golden cases (%v)", err)
			}
			for _, c := range cases {
				want := stagetest.RunCase(t, typ, c, 42, stage.Services{Getenv: noEnv})
				if d := cmp.Diff(want, runInWorker(t, typ, c)); d != "" {
					t.Errorf("%s: (-in process +in a worker)\n%s", c, d)
				}
			}
		})
	}
}

func noEnv(string) string { return "" }

func runInWorker(t *testing.T, typ *stage.Type, caseDir string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	task, err := stagetest.CaseTask(typ, caseDir, dir, 42)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "task.json")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "worker", file)
	cmd.Env = []string{asProgram + "=1", "DISTILLFLOW_MEMO=" + filepath.Join(dir, "memo"), "HOME=" + dir}
	out, err := cmd.Output()
	var taskErr error
	if err != nil {
		taskErr = lastError(t, out)
	}
	abs, err := filepath.Abs(caseDir)
	if err != nil {
		t.Fatal(err)
	}
	return stagetest.Collect(t, typ, task, taskErr, abs, dir)
}

// lastError is the error that a worker reported in its last message.
func lastError(t *testing.T, out []byte) error {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var m struct{ Error string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &m); err != nil || m.Error == "" {
		t.Fatalf("the worker failed without a message: %q", out)
	}
	return errors.New(m.Error)
}
