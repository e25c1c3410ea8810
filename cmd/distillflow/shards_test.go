package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/event"
)

// shardedTypes is a recipe with every type that works row by row.
const shardedTypes = `
params: {n: 1}
stages:
  all: {uses: scan, with: {root: rows.jsonl, task: gsm8k}}
  problems: {uses: filter, from: all, with: {where: id != "none"}, shards: "${{ params.n }}"}
  shots: {uses: scan, with: {root: shots.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: {problems: problems, shots: shots}, with: {styles: [cot, plain], shots: {n: 2}}, shards: "${{ params.n }}"}
  replies: {uses: batch-llm, from: prompts, with: {replicates: 2}, shards: "${{ params.n }}"}
  preds: {uses: extract, from: replies, shards: "${{ params.n }}"}
  graded: {uses: verify, from: preds, shards: "${{ params.n }}"}
  math: {uses: verify-math, from: preds, shards: "${{ params.n }}"}
  choice: {uses: verify-choice, from: preds, shards: "${{ params.n }}"}
  expression: {uses: verify-expr, from: preds, with: {correct: pred == gold}, shards: "${{ params.n }}"}
  program: {uses: verify-exec, from: preds, with: {command: [sh, -c, 'while read -r l; do case $l in *7*) echo "{\"correct\":true}";; *) echo "{\"correct\":false}";; esac; done']}, shards: "${{ params.n }}"}
  judged: {uses: judge, from: graded.correct, with: {votes: 3}, shards: "${{ params.n }}"}
  kept: {uses: filter, from: graded, with: {paths: correct, where: len(question) > 8}, shards: "${{ params.n }}"}
  lengths: {uses: derive, from: kept, with: {set: {size: len(question)}}, shards: "${{ params.n }}"}
  parts: {uses: split, from: lengths, with: {test: 0.3, dev: 0.2}, shards: "${{ params.n }}"}
  some: {uses: sample, from: lengths, with: {fraction: 0.4}, shards: "${{ params.n }}"}
`

// Random rows through every type that works row by row give the same digests under the
// same keys in any number of shards.
func TestShardsOfEveryType(t *testing.T) {
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range reg.Names() {
		if typ, _ := reg.Lookup(name); typ.RowByRow != "" && !strings.Contains(shardedTypes, "uses: "+name+",") {
			t.Errorf("the recipe of this test lacks %s, which works row by row", name)
		}
	}
	r := rand.New(rand.NewPCG(5, 17))
	for _, rows := range []int{0, 1, 2 + r.IntN(40)} {
		dir := t.TempDir()
		var problems strings.Builder
		problems.WriteString(`{"id":"none","question":"0+0?","answer":"#### 0"}` + "\n") // a file without rows is an error
		for i := range rows {
			a, b := r.IntN(20), r.IntN(1+i) // questions occur more than once
			fmt.Fprintf(&problems, `{"id":"p%d","question":"%d+%d?%s","answer":"#### %d"}`+"\n", i, a, b, strings.Repeat(" ?", r.IntN(4)), a+b)
		}
		writeFile(t, dir, "rows.jsonl", problems.String())
		writeFile(t, dir, "shots.jsonl", `{"id":"s1","question":"1+1?","answer":"#### 2"}`+"\n"+`{"id":"s2","question":"2+2?","answer":"#### 4"}`+"\n"+
			`{"id":"s3","question":"3+3?","answer":"#### 6"}`+"\n"+`{"id":"s4","question":"3+4?","answer":"#### 7"}`+"\n")
		writeFile(t, dir, "r.yaml", shardedTypes)
		var want map[string]string
		for _, n := range []int{1, 2, 3, 7, 1 + r.IntN(30), 1000} {
			v := shardVictim{dir}
			got, _ := results(t, v.run(t, n, 0))
			if want == nil {
				want = got
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%d rows in %d shards (-one piece +shards):\n%s", rows, n, d)
			}
			if err := os.RemoveAll(filepath.Join(dir, ".distillflow")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shardVictim is a folder with r.yaml.
type shardVictim struct{ dir string }

// run runs the recipe in a process of its own, which dies at a fault point if at is not 0.
func (v shardVictim) run(t *testing.T, shards, at int) (events []event.Event) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "run", "--json", "--allow-exec", "-j", "1", "--set", fmt.Sprint("n=", shards), filepath.Join(v.dir, "r.yaml"))
	plan, err := json.Marshal(childPlan{At: at, Do: "kill", Points: filepath.Join(v.dir, "points")})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), asProgram+"=1", "DISTILLFLOW_MEMO="+filepath.Join(v.dir, "memo"), faultPlan+"="+string(plan))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if (err != nil) != (at > 0) {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	for line := range strings.Lines(string(out)) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			if at > 0 {
				break // it died at that line
			}
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// results gives the keys and digests of a run, and which shards of each stage ended.
func results(t *testing.T, events []event.Event) (made map[string]string, shards map[string][]string) {
	t.Helper()
	made, shards = map[string]string{}, map[string][]string{}
	for _, e := range events {
		switch e.Kind {
		case event.StageDone, event.StageHit:
			made[e.Stage] = e.Key
			for port, o := range e.Outputs {
				made[e.Stage+"."+port] = fmt.Sprintf("%s %d %d", o.Digest, o.Rows, o.Bytes)
			}
		case event.StageProgress:
			if name, ok := strings.CutSuffix(e.Message, " is done"); ok {
				shards[e.Stage] = append(shards[e.Stage], strings.TrimPrefix(name, "shard "))
			}
		}
	}
	return made, shards
}

// A run that is killed while the third shard of four asks for its answers runs that and the
// fourth afterwards, and no other.
func TestKilledShards(t *testing.T) {
	recipe := func(t *testing.T) shardVictim {
		dir := t.TempDir()
		b, err := os.ReadFile("testdata/faults/train.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(b), "\n")
		writeFile(t, dir, "rows.jsonl", strings.Join(lines[:8], ""))
		writeFile(t, dir, "r.yaml", `
params: {n: 1}
stages:
  problems: {uses: scan, with: {root: rows.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [cot, code]}}
  replies: {uses: batch-llm, from: prompts, shards: "${{ params.n }}"}
`)
		return shardVictim{dir}
	}
	ref := recipe(t)
	want, ran := results(t, ref.run(t, 4, 0))
	if d := cmp.Diff([]string{"1/4", "2/4", "3/4", "4/4"}, ran["replies"]); d != "" {
		t.Fatal(d)
	}
	points, err := os.ReadFile(filepath.Join(ref.dir, "points"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(points))
	at := 0
	for range 2*2 + 1 { // the first row of the third shard
		i := slices.Index(names[at:], "batch-llm-row")
		if i < 0 {
			t.Fatalf("points %q", names)
		}
		at += i + 1
	}
	v := recipe(t)
	v.run(t, 4, at)
	got, ran := results(t, v.run(t, 4, 0))
	if d := cmp.Diff([]string{"3/4", "4/4"}, ran["replies"]); d != "" {
		t.Errorf("which shards ran after the kill:\n%s", d)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-undisturbed +killed)\n%s", d)
	}
	if left, err := os.ReadDir(filepath.Join(v.dir, ".distillflow", "work")); err != nil || len(left) > 0 {
		t.Errorf("scratch folders are left: %v (%v)", left, err)
	}
}
