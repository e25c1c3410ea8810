//go:build unix

package evaluate

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/schema"
)

func TestVerifyExecGolden(t *testing.T) {
	stagetest.Golden(t, VerifyExec, stagetest.InOnePiece("crash", "timeout"))
}

// verifyWith runs verify-exec with a shell script over n paths of one row each.
func verifyWith(t *testing.T, ctx context.Context, n int, script string, set map[string]any) (rows []schema.Problem, err error) {
	t.Helper()
	dir := t.TempDir()
	config := map[string]any{"command": []string{"sh", "-c", script}}
	for k, v := range set {
		config[k] = v
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for i := range n {
		b, _ = schema.Problem{ID: "r" + strconv.Itoa(i), Question: "q", Paths: []schema.Path{{Style: "cot", Response: "x"}}}.AppendJSON(b)
		b = append(b, '\n')
	}
	in := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(in, b, 0o644); err != nil {
		t.Fatal(err)
	}
	task := stage.Task{Stage: "s", Type: VerifyExec.Type, Version: VerifyExec.Version, Config: raw, WorkDir: filepath.Join(dir, "work"),
		Inputs:  map[string][]stage.Input{"problems": {{Path: in, Label: "in"}}},
		Outputs: map[string]string{"all": filepath.Join(dir, "all"), "correct": filepath.Join(dir, "correct")}}
	reg, err := stage.NewRegistry(VerifyExec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = reg.Run(ctx, task, stage.Services{}); err != nil {
		return nil, err
	}
	for row, err := range stage.RowsFrom[schema.Problem](task.Outputs["all"], "all").All() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// TestVerifyExecMemoryLimit: the program runs under its limit.
// TestVerifyExecQuery: the program sees all that the question shows.
func TestVerifyExecQuery(t *testing.T) {
	row := schema.Problem{ID: "1", Question: "q", Choices: []schema.Choice{{Label: "A", Text: "x"}}, Premise: "p", Hypothesis: "h", Table: "t"}
	for want, row := range map[string]schema.Problem{
		`"question":"q","choices":[{"label":"A","text":"x"}],"premise":"p","hypothesis":"h","table":"t","gold_answer"`: row,
		`"question":"q","gold_answer"`: {ID: "1", Question: "q"},
	} {
		if line, err := query(&row, &schema.Path{}); err != nil || !strings.Contains(string(line), want) {
			t.Errorf("%s, %v, want %s", line, err, want)
		}
	}
}

func TestVerifyExecMemoryLimit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux limits memory")
	}
	script := `while read -r l; do echo "{\"correct\": true, \"reason\": \"$(ulimit -v)\"}"; done`
	rows, err := verifyWith(t, t.Context(), 1, script, map[string]any{"memory": "256MiB"})
	if err != nil || rows[0].Paths[0].Reason != "program: true: 262144" {
		t.Fatal(err, rows)
	}
}

// TestVerifyExecOrder: one process answers many paths, in order.
func TestVerifyExecOrder(t *testing.T) {
	rows, err := verifyWith(t, t.Context(), 300, `n=0; while read -r l; do echo "{\"correct\": true, \"reason\": \"$n\"}"; n=$((n+1)); done`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if want := "program: true: " + strconv.Itoa(i); r.ID != "r"+strconv.Itoa(i) || r.Paths[0].Reason != want {
			t.Fatalf("row %d: %s: %s", i, r.ID, r.Paths[0].Reason)
		}
	}
}

// TestVerifyExecCancel: the program and what it started are killed.
func TestVerifyExecCancel(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if b, _ := os.ReadFile(pids); strings.HasSuffix(string(b), "\n") {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_, err := verifyWith(t, ctx, 2, `sleep 300 & echo $! > "`+pids+`"; wait`, map[string]any{"timeout": 60})
	if err == nil || !strings.Contains(err.Error(), "was stopped") {
		t.Fatal(err)
	}
	wantGone(t, pids)
}

// TestVerifyExecLeavesNothingBehind: what the program left in the background ends
// with it.
func TestVerifyExecLeavesNothingBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	script := `sleep 300 >/dev/null & echo $! > "` + pids + `"; while read -r l; do echo '{"correct": true}'; done`
	if _, err := verifyWith(t, t.Context(), 2, script, nil); err != nil {
		t.Fatal(err)
	}
	wantGone(t, pids)
}

// wantGone waits for the process whose id a file holds to end; a zombie has ended.
func wantGone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil && syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d still runs", pid)
}

// TestVerifyExecKey: the content of files counts, the name does not.
func TestVerifyExecKey(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "check.sh")
	if err := os.WriteFile(script, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, errs := VerifyExec.Decode(map[string]any{"command": []any{"sh", "{files.0}"}, "files": []any{script}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	ext, err := c.Externals(t.Context())
	if err != nil || len(ext) != 1 || ext[0].Name != "0/." || ext[0].Path != script {
		t.Error(ext, err)
	}
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Externals(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Error(err)
	}
}
