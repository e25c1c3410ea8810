//go:build unix

package data

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/schema"
)

func TestExecGolden(t *testing.T) { stagetest.Golden(t, Exec) }

func TestExecConfigErrors(t *testing.T) {
	for _, tc := range []struct{ config, field, msg string }{
		{`{"command": []}`, "command", "needs a program"},
		{`{"command": ["scripts/x.sh"]}`, "command.0", "list the file under files"},
		{`{"command": ["cat", "{files.0}"]}`, "command.1", "files has no number 0"},
		{`{"command": ["cat", "{out.x}"]}`, "command.1", "outputs are"},
		{`{"command": ["cat", "{seed.1}"]}`, "command.1", "write {seed}"},
		{`{"command": ["cat", "{in.x}"]}`, "command.1", "in has no number x"},
		{`{"command": ["x"], "env": {"A=B": "1"}}`, "env.A=B", "not the name of an environment variable"},
		{`{"command": ["x"], "env": {"DISTILLFLOW_X": "1"}}`, "env.DISTILLFLOW_X", "are set by exec"},
		{`{"command": ["x"], "env": {"A": "1"}, "pass_env": ["A"]}`, "pass_env.0", "is under env too"},
		{`{"command": ["x"], "network": true}`, "", "are for containers"},
		{`{"command": ["x"], "image": "-v"}`, "image", "not the name of an image"},
	} {
		_, errs := Exec.Decode(tree(t, tc.config))
		if len(errs) == 0 || strings.Join(errs[0].Path, ".") != tc.field || !strings.Contains(errs[0].Msg, tc.msg) {
			t.Errorf("%s: got %+v, want %s: %s", tc.config, errs, tc.field, tc.msg)
		}
	}
	// Braces of other languages are not ours.
	if _, errs := Exec.Decode(tree(t, `{"command": ["jq", "{id, n: {a: 1}}", "{}"]}`)); len(errs) > 0 {
		t.Error(errs)
	}
}

func TestExecKey(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.py": "1", "lib/b.py": "2", "lib/sub/c.py": "3"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := map[string]any{
		"command": []any{"python3", "{files.0}"}, "env": map[string]any{"A": "1"}, "pass_env": []any{"TOKEN"}, "grace": 3.0,
		"files": []any{filepath.Join(dir, "a.py"), filepath.Join(dir, "lib")},
	}
	c, errs := Exec.Decode(config)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	ext, err := c.Externals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range ext {
		names = append(names, e.Name)
	}
	if d := cmp.Diff([]string{"0/.", "1/b.py", "1/sub/c.py"}, names); d != "" {
		t.Error(d)
	}
	key, err := c.Semantic()
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]bool{"command": true, "env": true, "pass_env": false, "grace": false, "files": false} {
		if _, in := key[field]; in != want {
			t.Errorf("%s in the key: %v, want %v", field, in, want)
		}
	}
	config["files"] = []any{filepath.Join(dir, "gone.py")}
	c, errs = Exec.Decode(config)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, err := c.Externals(t.Context()); err == nil || !strings.Contains(err.Error(), "files.0") || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a missing file: %v", err)
	}
}

// TestExecPassEnv: only named variables of the user reach the command.
func TestExecPassEnv(t *testing.T) {
	user := map[string]string{"TOKEN": "t1", "OTHER": "o1", "PATH": os.Getenv("PATH")}
	t.Setenv("LEAKED", "yes")
	out := runStage(t, t.Context(), Exec, `{"command": ["sh", "-c", "echo ${TOKEN-unset} ${OTHER-unset} ${LEAKED-unset} > {out.dir}/x"], "pass_env": ["TOKEN"]}`, 7,
		func(n string) string { return user[n] }, nil)
	b, err := os.ReadFile(filepath.Join(out.dir, "x"))
	if out.err != nil || err != nil || string(b) != "t1 unset unset\n" {
		t.Errorf("%v %v %q", out.err, err, b)
	}
}

func TestExecTail(t *testing.T) {
	out := runStage(t, t.Context(), Exec, `{"command": ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf '\\377\\n' >&2; exit 1"]}`, 0, nil, nil)
	if out.err == nil {
		t.Fatal("no error")
	}
	msg := out.err.Error()
	if len(msg) > 2*tailSize || !strings.Contains(msg, "line 1999\n  \ufffd") || strings.Contains(msg, "line 1\n") {
		t.Errorf("%d bytes: %.200s", len(msg), msg)
	}
}

// TestExecCancel: the whole group is asked to stop and then killed, a child that
// ignores the first included.
func TestExecCancel(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	script := `trap 'echo stopped >> "` + pids + `.log"; exit 1' TERM
sh -c 'trap "" TERM; echo $$ > "` + pids + `"; while :; do sleep 0.05; done' &
wait`
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if b, _ := os.ReadFile(pids); len(b) > 0 {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	config := `{"grace": 0.3, "command": ["sh", "-c", ` + strconv.Quote(script) + `]}`
	out := runStage(t, ctx, Exec, config, 0, nil, nil)
	if out.err == nil || !strings.Contains(out.err.Error(), "was stopped") {
		t.Fatal(out.err)
	}
	if b, _ := os.ReadFile(pids + ".log"); string(b) != "stopped\n" {
		t.Errorf("the leader was not asked to stop: %q", b)
	}
	checkGone(t, pids)
}

// TestExecLeavesNothingBehind: a process that the command left in the background
// does not outlive it.
func TestExecLeavesNothingBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	config := `{"command": ["sh", "-c", ` + strconv.Quote(`sleep 300 & echo $! > "`+pids+`"`) + `]}`
	if out := runStage(t, t.Context(), Exec, config, 0, nil, nil); out.err != nil {
		t.Fatal(out.err)
	}
	checkGone(t, pids)
}

// parent names a file for the process id of the command of [TestExecHelperParent].
const parent = "DISTILLFLOW_TEST_PIDS"

// TestExecHelperParent is the process that [TestExecDiesWithParent] kills.
func TestExecHelperParent(t *testing.T) {
	pids := os.Getenv(parent)
	if pids == "" {
		t.Skip("started by TestExecDiesWithParent")
	}
	runStage(t, t.Context(), Exec, `{"command": ["sh", "-c", `+strconv.Quote(`echo $$ > "`+pids+`"; while :; do sleep 0.05; done`)+`]}`, 0, nil, nil)
}

// TestExecDiesWithParent: a command does not go on when the process that runs it is
// killed, which gives that no time to stop it.
func TestExecDiesWithParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	cmd := exec.Command(os.Args[0], "-test.run=^TestExecHelperParent$")
	cmd.Env = append(os.Environ(), parent+"="+pids, "TMPDIR="+dir) // it cannot clean up
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if b, _ := os.ReadFile(pids); strings.HasSuffix(string(b), "\n") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	checkGone(t, pids)
}

// checkGone waits for the process whose id a file holds to end. One that was
// killed may stay a zombie until its new parent looks.
func checkGone(t *testing.T, file string) {
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

// fakeRuntime stands in for docker: it writes its arguments down and runs what
// follows the image.
const fakeRuntime = `#!/bin/sh
printf '%s\n' "$@" > "$HOME/$1.args"
env > "$HOME/env"
if [ "$1" = rm ]; then exit 0; fi
while [ "$1" != img@sha256:0 ]; do shift; done
shift
exec "$@"
`

func TestExecContainer(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "docker"), []byte(fakeRuntime), 0o755); err != nil {
		t.Fatal(err)
	}
	user := map[string]string{"HOME": home, "PATH": home + ":" + defaultPath, "TOKEN": "secret"}
	out := runStage(t, t.Context(), Exec, `{"command": ["cp", "{in}", "{out.rows}"], "image": "img@sha256:0", "env": {"A": "1"}, "pass_env": ["TOKEN"], "gpus": "all"}`, 7,
		func(n string) string { return user[n] }, map[string][]schema.Problem{"rows": numbered(2)})
	if out.err != nil || len(out.rows["rows"]) != 2 || len(out.warns) > 0 {
		t.Fatalf("%v, %d rows, %v", out.err, len(out.rows["rows"]), out.warns)
	}
	b, err := os.ReadFile(filepath.Join(home, "run.args"))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, want := range [][]string{{"--network", "none"}, {"--gpus", "all"}, {"--env", "A"}, {"--env", "TOKEN"}, {"--rm"}, {"img@sha256:0", "cp"}} {
		if !containsRun(args, want) {
			t.Errorf("the runtime was not given %v: %v", want, args)
		}
	}
	if strings.Contains(string(b), "secret") {
		t.Error("a value of pass_env stands on the command line")
	}
	e, err := os.ReadFile(filepath.Join(home, "env"))
	if err != nil || !strings.Contains(string(e), "TOKEN=secret\n") || !strings.Contains(string(e), "HOME="+home+"\n") {
		t.Errorf("%v: %s", err, e)
	}
}

// TestExecGPUs: a command gets the devices that the stage has to itself, whatever the
// user's environment says, and a container sees no others.
func TestExecGPUs(t *testing.T) {
	user := map[string]string{stage.VisibleGPUs: "0,1,2,3"}
	env := stage.NewEnv(0, t.TempDir(), stage.Services{Getenv: func(n string) string { return user[n] }})
	env.GPUs = []string{"1", "3"}
	for _, tc := range []struct {
		cfg  execConfig
		want string
	}{
		{execConfig{PassEnv: []string{stage.VisibleGPUs}}, stage.VisibleGPUs + "=1,3"},
		{execConfig{Env: map[string]string{stage.VisibleGPUs: "2"}}, stage.VisibleGPUs + "=2"},
		{execConfig{Image: "img@sha256:0"}, ""},
	} {
		var got string
		for _, v := range (&execRun{cfg: tc.cfg, env: env}).environ() {
			if strings.HasPrefix(v, stage.VisibleGPUs) {
				got = v
			}
		}
		if got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.cfg, got, tc.want)
		}
	}
	for _, tc := range []struct {
		own  []string
		gpus string
		want string
	}{{nil, "all", "all"}, {[]string{"2"}, "all", "device=2"}, {[]string{"1", "3"}, "", `"device=1,3"`}} {
		env.GPUs = tc.own
		r := &execRun{cfg: execConfig{Image: "img@sha256:0", Runtime: "docker", GPUs: tc.gpus}, env: env}
		args, _, err := r.containerArgs([]string{"true"}, nil)
		if err != nil || !containsRun(args, []string{"--gpus", tc.want}) {
			t.Errorf("%v, gpus %q: %v %v", tc.own, tc.gpus, args, err)
		}
	}
}

func containsRun(list, run []string) bool {
	for i := range list {
		if i+len(run) <= len(list) && slices.Equal(list[i:i+len(run)], run) {
			return true
		}
	}
	return false
}

// TestExecForgetsOldRows: rows that a crashed run left in the scratch folder must
// not pass for those of the next.
func TestExecForgetsOldRows(t *testing.T) {
	work := t.TempDir()
	old := filepath.Join(work, "out", "rows.jsonl")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte(`{"id":"old","question":"q"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &execRun{env: stage.NewEnv(0, work, stage.Services{}), outDir: t.TempDir()}
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old rows are still there")
	}
}
