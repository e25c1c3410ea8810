package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/event"
)

// TestKilledRunsEndTheSame kills a run of the whole path, training included, at
// seeded points between the steps of its work, runs it again, and wants the
// bytes of an undisturbed run. Every kind of point that occurs is among them.
func TestKilledRunsEndTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("kills and repeats whole runs; not with -short")
	}
	ref := newVictim(t)
	ref.run(t, 0)
	want := ref.digests(t)
	raw, err := os.ReadFile(ref.points)
	if err != nil {
		t.Fatal(err)
	}
	points := strings.Fields(string(raw))
	for _, at := range choosePoints(points, 14) {
		t.Run(strconv.Itoa(at)+"-"+points[at-1], func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			if !v.run(t, at) {
				t.Fatalf("the run was not killed at point %d of %d", at, len(points))
			}
			v.run(t, 0)
			if d := cmp.Diff(want, v.digests(t)); d != "" {
				t.Errorf("(-undisturbed +killed)\n%s", d)
			}
		})
	}
}

// choosePoints picks fault points by number from 1: at least one of each kind,
// the rest anywhere.
func choosePoints(points []string, count int) []int {
	r := rand.New(rand.NewPCG(1, 2))
	byKind := map[string][]int{}
	for i, p := range points {
		byKind[p] = append(byKind[p], i+1)
	}
	chosen := map[int]bool{}
	for _, k := range slices.Sorted(maps.Keys(byKind)) {
		chosen[byKind[k][r.IntN(len(byKind[k]))]] = true
	}
	all := slices.Sorted(maps.Keys(chosen))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for len(all) < min(count, len(points)) {
		if at := 1 + r.IntN(len(points)); !chosen[at] {
			chosen[at] = true
			all = append(all, at)
		}
	}
	return all[:min(count, len(all))]
}

// victim is one recipe in a folder of its own.
type victim struct {
	dir, recipe, points string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"small.yaml", "train.jsonl", "test.jsonl"} {
		b, err := os.ReadFile(filepath.Join("testdata", "crash", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &victim{dir: dir, recipe: filepath.Join(dir, "small.yaml"), points: filepath.Join(dir, "points")}
}

// run runs the recipe; it dies at a fault point if at is not 0. It reports
// whether it was killed.
func (v *victim) run(t *testing.T, at int) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "run", "--json", "-j", "1", v.recipe)
	cmd.Env = append(os.Environ(), asProgram+"=1", "DISTILLFLOW_MEMO="+filepath.Join(v.dir, "memo"))
	if at > 0 {
		cmd.Env = append(cmd.Env, crashAt+"="+strconv.Itoa(at))
	} else {
		cmd.Env = append(cmd.Env, pointsFile+"="+v.points)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() && st.Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := os.WriteFile(filepath.Join(v.dir, "events.jsonl"), out, 0o644); err != nil {
		t.Fatal(err)
	}
	return false
}

// digests gives the digest of every output of the last run and the text of
// every saved file.
func (v *victim) digests(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(v.dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == event.StageDone || e.Kind == event.StageHit {
			for port, o := range e.Outputs {
				m[e.Stage+"."+port] = o.Digest
			}
		}
	}
	saved, err := filepath.Glob(filepath.Join(v.dir, "out", "*.jsonl"))
	if err != nil || len(saved) == 0 || len(m) == 0 {
		t.Fatalf("nothing to compare: %v, %d outputs (%v)", saved, len(m), err)
	}
	for _, f := range saved {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m[filepath.Base(f)] = string(b)
	}
	return m
}
