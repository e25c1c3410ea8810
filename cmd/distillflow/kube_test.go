package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec/kube/kubetest"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// A recipe on a real API server and job controller gives the keys and digests that it
// gives here. The variable names the folder that tools/kube/build.sh fills.
func TestRecipeOnKubernetes(t *testing.T) {
	bin := os.Getenv("DISTILLFLOW_TEST_KUBERNETES")
	if bin == "" {
		t.Skip("DISTILLFLOW_TEST_KUBERNETES is not set; see CONTRIBUTING.md")
	}
	dir := t.TempDir()
	c, err := kubetest.Start(t.Context(), bin, dir)
	t.Cleanup(c.Stop)
	if err != nil {
		t.Fatal(err)
	}
	kubelet := &kubetest.Kubelet{Cluster: c, Dir: dir, Env: []string{asProgram + "=1"}}
	ctx, stop := context.WithCancel(t.Context())
	work := parallel.Start(func() error { return kubelet.Run(ctx) })
	t.Cleanup(func() { stop(); _ = work() })

	var problems strings.Builder
	for i := range 40 {
		fmt.Fprintf(&problems, `{"id":"p%d","question":"%d+%d?","answer":"#### %d"}`+"\n", i, i, i%7, i+i%7)
	}
	writeFile(t, dir, "rows.jsonl", problems.String())
	writeFile(t, dir, "shots.jsonl", `{"id":"s1","question":"1+1?","answer":"#### 2"}`+"\n"+`{"id":"s2","question":"2+2?","answer":"#### 4"}`+"\n"+
		`{"id":"s3","question":"3+3?","answer":"#### 6"}`+"\n"+`{"id":"s4","question":"3+4?","answer":"#### 7"}`+"\n")
	writeFile(t, dir, "r.yaml", shardedTypes)
	writeFile(t, dir, "executors.yaml", fmt.Sprintf("kube: {kubeconfig: %q, image: none, binary: %q, poll: 200ms}\n", c.Kubeconfig, os.Args[0]))

	run := func(name string, args ...string) map[string]string {
		t.Helper()
		cmd := exec.Command(os.Args[0], append([]string{"run", "--json", "--allow-exec", "--set", "n=3", "--store", filepath.Join(dir, name)}, append(args, filepath.Join(dir, "r.yaml"))...)...)
		cmd.Env = append(os.Environ(), asProgram+"=1", "DISTILLFLOW_MEMO="+filepath.Join(dir, "memo-"+name))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr.Bytes())
		}
		var events []event.Event
		for line := range strings.Lines(string(out)) {
			var e event.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		made, _ := results(t, events)
		return made
	}
	want := run("here")
	if kubelet.Started() != 0 {
		t.Error("a run here has started pods")
	}
	got := run("there", "--executor", "kube", "--executors", filepath.Join(dir, "executors.yaml"), "--cache", "file://"+filepath.ToSlash(filepath.Join(dir, "bucket")))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-here +on Kubernetes)\n%s", d)
	}
	// What reads files of this machine runs here; most of the rest goes out in three shards.
	if n := kubelet.Started(); n < 30 {
		t.Errorf("only %d pods ran", n)
	}
	t.Logf("%s; %d keys and digests", kubelet, len(want))
}
