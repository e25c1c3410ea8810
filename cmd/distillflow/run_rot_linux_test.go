package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRotOfRuns damages the record of a run that is done, and then looks at the run by every
// command that does. What a command shows is right, or it says what is wrong. Afterwards gc
// keeps what the run has made, though nothing but the damaged record names it any more.
func TestRotOfRuns(t *testing.T) {
	count, seed := faultCount(t, 6)
	v := &victim{dir: filepath.Join(t.TempDir(), "v")}
	if err := os.MkdirAll(v.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	rows := ""
	for i := range 8 {
		rows += fmt.Sprintf(`{"id": "p%d", "question": "What is %d and %d?", "answer": "%d"}`+"\n", i, i, i, 2*i)
	}
	for name, text := range map[string]string{"rows.jsonl": rows, "r.yaml": `
stages:
  problems: {uses: scan, with: {root: rows.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [plain]}}
  replies: {uses: batch-llm, from: prompts, with: {model: simulated}}
  preds: {uses: extract, from: replies}
  graded: {uses: verify-math, from: preds}
  rates: {uses: accuracy, from: graded.all}
`} {
		if err := os.WriteFile(v.path(name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DISTILLFLOW_MEMO", v.path("memo"))
	t.Setenv("BROWSER", "true")
	keepHubVariables(t)
	if status, out := v.app("run", v.path("r.yaml")); status != exitOK {
		t.Fatalf("status %d: %s", status, out)
	}
	state := v.snapshot(t)
	recipe, st, packed, pages := v.path("r.yaml"), v.path(".distillflow"), v.path("b.tar.zst"), v.path("pages")
	looks := [][]string{
		{"runs", "--format", "json", "--store", st}, {"runs", recipe}, {"show", recipe}, {"outputs", recipe}, {"log", recipe},
		{"compare", recipe, recipe}, {"audit", recipe, "--format", "json"}, {"cat", recipe, "replies"}, {"ctl", recipe, "pause"},
		{"bundle", "create", "last", packed, recipe}, {"ui", "--export", pages, recipe}, {"open", recipe}, {"cache", "gc", "--dry-run", "--store", st},
	}
	look := func(args []string) (int, string) {
		t.Helper()
		for _, made := range []string{packed, pages} {
			if err := os.RemoveAll(made); err != nil {
				t.Fatal(err)
			}
		}
		return v.app(args...)
	}
	var sound []string
	for _, args := range looks {
		_, out := look(args)
		sound = append(sound, out)
	}
	var files []string
	for rel := range state.files {
		if strings.HasPrefix(rel, ".distillflow/runs/") && !strings.HasSuffix(rel, ".html") {
			files = append(files, rel)
		}
	}
	slices.Sort(files)
	for i := range count {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		file := files[i%len(files)]
		t.Run(fmt.Sprintf("%d %s", i, filepath.Base(file)), func(t *testing.T) {
			state.restore(t, v)
			t.Log(state.harm(t, v, file, r))
			for k, args := range looks {
				status, out := look(args)
				leftOut := args[0] == "runs" && strings.Count(out, "\n") <= 1 // with a warning
				if status == exitOK && out != sound[k] && !leftOut {
					t.Errorf("%s shows\n%s\nand not\n%s", args[0], out, sound[k])
				}
				if status != exitOK {
					explained(t, status, out)
				}
			}
			if err := os.RemoveAll(filepath.Join(st, "last")); err != nil {
				t.Fatal(err)
			}
			if status, out := v.app("cache", "gc", "--store", st); status != exitOK {
				t.Errorf("gc: status %d: %s", status, out)
			}
			status, out := v.app("run", "--json", recipe)
			if status != exitOK || strings.Contains(out, `"stage_done"`) {
				t.Errorf("gc removed what the run had made: status %d: %s", status, out)
			}
		})
	}
}
