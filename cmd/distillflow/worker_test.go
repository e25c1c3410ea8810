package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/exec/job"
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
	folder := job.Of(task)
	if _, err := folder.Write(task); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "worker", string(folder))
	cmd.Env = []string{asProgram + "=1", "DISTILLFLOW_MEMO=" + filepath.Join(dir, "memo"), "HOME=" + dir, "GORACE=" + os.Getenv("GORACE")}
	out, err := cmd.CombinedOutput()
	_, taskErr := folder.Collect(task)
	if (err == nil) != (taskErr == nil) || errors.Is(taskErr, job.ErrNoResult) {
		t.Fatalf("the worker: %v, its result: %v\n%s", err, taskErr, out)
	}
	abs, err := filepath.Abs(caseDir)
	if err != nil {
		t.Fatal(err)
	}
	return stagetest.Collect(t, typ, task, taskErr, abs, dir)
}
