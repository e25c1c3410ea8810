package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
)

// inFlight is how many answers a run may lose that ends in their midst: the concurrency in
// testdata/faults/r.yaml.
const inFlight = 4

// faultKind is one kind of disturbance. do runs the recipe of v under it, once or more
// often, and returns how many paid answers may be lost by that. The harness then runs the
// recipe once more, undisturbed.
type faultKind struct {
	name string
	do   func(t *testing.T, v *victim, r *rand.Rand, ref *reference) (lost int)
}

// faultKinds is the crash matrix.
var faultKinds = []faultKind{
	{"kill at a point", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "kill"}).mayBeKilled(t)
		return inFlight
	}},
	{"kill at a time", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.start(t, childPlan{}).signalAfter(ref.moment(r), syscall.SIGKILL).wait(t).mayBeKilled(t)
		return inFlight
	}},
	{"kill at a request", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.signalAtRequest(t, ref.request(r), syscall.SIGKILL).mayBeKilled(t)
		return inFlight
	}},
	{"kill twice", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "kill"}).mayBeKilled(t)
		v.run(t, childPlan{At: 1 + ref.point(r)/4, Do: "kill"}).mayBeKilled(t)
		return 2 * inFlight
	}},
	{"SIGTERM at a point", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "term"}).want(t, exitOK, exitInterrupted)
		return inFlight
	}},
	{"SIGTERM at a request", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.signalAtRequest(t, ref.request(r), syscall.SIGTERM).want(t, exitOK, exitInterrupted)
		return inFlight
	}},
	{"SIGINT at a time", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		p := v.start(t, childPlan{}).signalAfter(ref.moment(r), syscall.SIGINT).wait(t)
		if p.signal == syscall.SIGINT { // it came before the program listened
			return 0
		}
		p.want(t, exitOK, exitInterrupted)
		return inFlight
	}},
	{"full disk at a point", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: pick(r, "full", "quota")}).want(t, exitOK, exitFailed)
		return inFlight
	}},
	{"full disk", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		resize := v.onSmallDisk(t, r.Int64N(ref.bytes)+64<<10)
		v.run(t, childPlan{}).want(t, exitOK, exitFailed, exitUsage)
		resize(64 << 20)
		return inFlight
	}},
	{"limit on a file's size", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{FileSize: 1 + r.Uint64N(64<<10)}).want(t, exitOK, exitFailed, exitUsage)
		return inFlight
	}},
	{"read-only at a point", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "readonly"}).want(t, exitOK, exitFailed)
		return inFlight
	}},
	{"read-only disk", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "kill"}).mayBeKilled(t)
		release := v.readOnly(t)
		v.run(t, childPlan{}).want(t, exitOK, exitFailed)
		release()
		return inFlight
	}},
	{"disk that does not sync", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "fsync"}).want(t, exitOK, exitFailed)
		return inFlight
	}},
	{"clock jumps in a run", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "clock", Jump: jump(r)}).want(t, exitOK)
		return 0
	}},
	{"clock jumps between runs", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{At: ref.point(r), Do: "kill", Clock: jump(r)}).mayBeKilled(t)
		v.shiftTimes(t, jump(r))
		v.run(t, childPlan{Clock: jump(r)}).want(t, exitOK)
		return inFlight
	}},
	{"killed worker", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.run(t, childPlan{Worker: true, At: 1 + r.IntN(30), Do: "kill"}, "--isolate").want(t, exitOK, exitFailed)
		return inFlight
	}},
	{"killed coordinator", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.start(t, childPlan{}, "--isolate").signalAfter(3*ref.moment(r), syscall.SIGKILL).wait(t).mayBeKilled(t)
		return inFlight // and the next run begins while the worker may still be there
	}},
	{"network", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.teacher.set(netPlan(r), nil)
		v.run(t, childPlan{}).want(t, exitOK)
		v.teacher.set(nil, nil)
		return 0
	}},
	{"network gone", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		from, how := ref.request(r), netFaultNames[r.IntN(len(netFaultNames))]
		if how == slow || strings.HasPrefix(how, "silence") {
			how = "reset"
		}
		v.teacher.set(func(teacherRequest) string {
			if from--; from > 0 {
				return ""
			}
			return how
		}, nil)
		v.run(t, childPlan{}, "--set", "tries=0").want(t, exitOK, exitFailed)
		v.teacher.set(nil, nil)
		return 0
	}},
	{"no hard links", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		return v.killOn(t, ref.point(r), "links")
	}},
	{"no locks", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		return v.killOn(t, ref.point(r), pick(r, "flock", "flock2", "flock3"))
	}},
	{"neither times nor modes", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		return v.killOn(t, ref.point(r), "times", "modes")
	}},
	{"coarse times", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.onCoarseDisk(t)
		return v.killOn(t, ref.point(r), poor(r)...)
	}},
	{"two coordinators", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		a := v.start(t, childPlan{})
		time.Sleep(ref.moment(r) / 4)
		b := v.start(t, childPlan{})
		a.wait(t).want(t, exitOK)
		b.wait(t).want(t, exitOK)
		return 0
	}},
	{"two stores, one memo", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) (lost int) {
		var plan childPlan
		if r.IntN(2) == 0 {
			plan, lost = childPlan{At: ref.point(r), Do: "kill"}, inFlight
		}
		a, b := v.start(t, plan, "--store", v.path("other")), v.start(t, childPlan{})
		a.wait(t).mayBeKilled(t)
		b.wait(t).want(t, exitOK)
		return lost
	}},
	{"two coordinators without locks", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		v.always.Deny = []string{pick(r, "flock", "flock2", "flock3")}
		a := v.start(t, childPlan{})
		time.Sleep(ref.moment(r) / 4)
		b := v.start(t, childPlan{})
		a.wait(t).want(t, exitOK)
		b.wait(t).want(t, exitOK)
		return ref.requests // the program warns that both pay
	}},
	{"two coordinators, one killed", func(t *testing.T, v *victim, r *rand.Rand, ref *reference) int {
		a, b := v.start(t, childPlan{At: ref.point(r), Do: "kill"}), v.start(t, childPlan{})
		a.wait(t).mayBeKilled(t)
		b.wait(t).want(t, exitOK)
		return inFlight
	}},
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// jump is by how much a clock goes wrong: seconds, hours, years, both ways.
func jump(r *rand.Rand) time.Duration {
	d := []time.Duration{time.Second, 3 * time.Hour, 5 * 365 * 24 * time.Hour}[r.IntN(3)]
	if r.IntN(2) == 0 {
		d = -d
	}
	return d
}

// poor is what a file system lacks, perhaps nothing.
func poor(r *rand.Rand) []string {
	all := []string{"links", pick(r, "flock", "flock2", "flock3"), "times", "modes"}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:r.IntN(len(all)+1)]
}

// killOn kills a run on a file system that lacks something, which the next run meets too.
func (v *victim) killOn(t *testing.T, point int, lacks ...string) (lost int) {
	t.Helper()
	v.always.Deny = lacks
	v.run(t, childPlan{At: point, Do: "kill"}).mayBeKilled(t)
	return inFlight
}

// netPlan lets one request in eight fail, some of them twice.
func netPlan(r *rand.Rand) func(teacherRequest) string {
	seed := r.Uint64()
	return func(a teacherRequest) string {
		n, _ := strconv.ParseUint(a.Key, 16, 64)
		d := rand.New(rand.NewPCG(seed, n+uint64(a.Nth)))
		if a.Nth > 2 || d.IntN(8) > 0 {
			return ""
		}
		return netFaultNames[d.IntN(len(netFaultNames))]
	}
}

// TestFaults disturbs runs of the whole path, training and a paid teacher included, in
// every way that faultKinds lists, at seeded points. After each, one more run has to end
// with the results of an undisturbed one, and no answer may have been paid for twice but
// those that were in flight.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("disturbs and repeats whole runs; not with -short")
	}
	count, seed := faultCount(t, len(faultKinds))
	ref := newReference(t)
	for i := range count {
		k := faultKinds[i%len(faultKinds)]
		t.Run(fmt.Sprintf("%d %s", i, k.name), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			lost := k.do(t, v, rand.New(rand.NewPCG(seed, uint64(i))), ref)
			v.run(t, childPlan{}).want(t, exitOK)
			if d := cmp.Diff(ref.digests, v.digests(t)); d != "" {
				t.Errorf("(-undisturbed +disturbed)\n%s", d)
			}
			if again := v.teacher.paidTwice(); again > lost {
				t.Errorf("%d answers were paid for twice, at most %d were in flight", again, lost)
			}
			v.checkStore(t)
		})
	}
}

// faultCount reads DISTILLFLOW_FAULTS: how many disturbances, and the seed of their
// points, as in 200 or 200:7.
func faultCount(t *testing.T, usual int) (count int, seed uint64) {
	n, s, _ := strings.Cut(os.Getenv("DISTILLFLOW_FAULTS"), ":")
	if n == "" {
		return usual, 1
	}
	count, err := strconv.Atoi(n)
	if err == nil && s != "" {
		seed, err = strconv.ParseUint(s, 10, 64)
	}
	if err != nil {
		t.Fatalf("DISTILLFLOW_FAULTS: %v; want a number, or NUMBER:SEED", err)
	}
	return count, seed
}

// reference is an undisturbed run.
type reference struct {
	digests  map[string]string
	points   int // fault points passed
	requests int
	bytes    int64 // on disk, of all files together
	took     time.Duration
}

func newReference(t *testing.T) *reference {
	v := newVictim(t)
	points := filepath.Join(t.TempDir(), "points")
	start := time.Now()
	v.run(t, childPlan{Points: points}).want(t, exitOK)
	ref := &reference{took: time.Since(start), digests: v.digests(t), requests: len(v.teacher.asked)}
	raw, err := os.ReadFile(points)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, p := range strings.Fields(string(raw)) {
		kinds[p]++
		ref.points++
	}
	v.eachFile(t, func(_ string, fi os.FileInfo) { ref.bytes += (fi.Size() + 4095) &^ 4095 })
	t.Logf("an undisturbed run: %d requests, %d KiB, %v, %d points %v", ref.requests, ref.bytes>>10, ref.took, ref.points, kinds)
	if again := v.teacher.paidTwice(); again > 0 || kinds[store.FaultMemoSynced] == 0 || kinds["train-checkpointed"] == 0 {
		t.Fatalf("it proves nothing: %d answers paid for twice, points %v", again, kinds)
	}
	return ref
}

// point is the number of a fault point. Their number varies a little from run to run:
// answers that arrive together are recorded together.
func (f *reference) point(r *rand.Rand) int { return 1 + r.IntN(f.points*9/10) }

func (f *reference) request(r *rand.Rand) int { return 1 + r.IntN(f.requests) }

func (f *reference) moment(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(f.took))) }

// victim is one recipe with a store and a memo in a folder of its own.
type victim struct {
	dir     string
	teacher *faultyTeacher
	always  childPlan // befalls every run
	last    []byte    // events of the last run
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{dir: filepath.Join(t.TempDir(), "v"), teacher: newFaultyTeacher(t)}
	v.fill(t)
	return v
}

func (v *victim) path(name string) string { return filepath.Join(v.dir, name) }

func (v *victim) fill(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(v.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"r.yaml", "train.jsonl", "test.jsonl"} {
		b, err := os.ReadFile(filepath.Join("testdata", "faults", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(v.path(f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// process is a run of the recipe.
type process struct {
	v      *victim
	cmd    *exec.Cmd
	cancel context.CancelFunc
	out    bytes.Buffer
	err    bytes.Buffer
	timer  *time.Timer

	code   int            // exit status; -1 if a signal ended it
	signal syscall.Signal // that ended it; 0 if none
}

func (v *victim) start(t *testing.T, plan childPlan, flags ...string) *process {
	t.Helper()
	plan.Deny = append(slices.Clone(v.always.Deny), plan.Deny...)
	if denials[plan.Do] != nil || len(plan.Deny) > 0 {
		if err := deniable(); err != nil {
			t.Skip(err)
		}
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	p := &process{v: v, cancel: cancel}
	args := append([]string{"run", "--json", "-j", "2", "--set", "url=" + v.teacher.srv.URL}, flags...)
	p.cmd = exec.CommandContext(ctx, os.Args[0], append(args, v.path("r.yaml"))...)
	p.cmd.Env = append(os.Environ(), asProgram+"=1", faultPlan+"="+string(text), "OPENAI_API_KEY=none", "GOMAXPROCS=2",
		"DISTILLFLOW_MEMO="+v.path("memo"))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGQUIT) } // shows where it hangs
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// deniable tells why calls of the system cannot be made to fail here, as under gVisor.
var deniable = sync.OnceValue(func() error {
	cmd := exec.Command(os.Args[0], "version")
	cmd.Env = append(os.Environ(), asProgram+"=1", faultPlan+`={"Deny":["links"]}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("no seccomp filters: %w\n%s", err, out)
	}
	return nil
})

func (p *process) signalAfter(d time.Duration, s syscall.Signal) *process {
	p.timer = time.AfterFunc(d, func() { _ = p.cmd.Process.Signal(s) })
	return p
}

// wait waits for the end of a run, which must be no crash of its own.
func (p *process) wait(t *testing.T) *process {
	t.Helper()
	err := p.cmd.Wait()
	if p.timer != nil {
		p.timer.Stop()
	}
	defer p.cancel()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, p.err.Bytes())
	}
	p.code = p.cmd.ProcessState.ExitCode()
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		p.signal = st.Signal()
	}
	for _, bad := range []string{"panic:", "fatal error:", "goroutine ", "internal error", "SIGQUIT"} {
		if strings.Contains(p.err.String(), bad) || strings.Contains(p.out.String(), bad) {
			t.Fatalf("status %d\n%s\n%s", p.code, p.err.Bytes(), p.out.Bytes())
		}
	}
	p.v.last = p.out.Bytes()
	return p
}

func (v *victim) run(t *testing.T, plan childPlan, flags ...string) *process {
	t.Helper()
	return v.start(t, plan, flags...).wait(t)
}

// signalAtRequest runs the recipe and sends it a signal when the teacher gets its nth
// request, which then is in flight.
func (v *victim) signalAtRequest(t *testing.T, nth int, s syscall.Signal) *process {
	t.Helper()
	started := make(chan *process, 1)
	var once sync.Once
	v.teacher.set(nil, func(n int) {
		if n >= nth {
			once.Do(func() { _ = (<-started).cmd.Process.Signal(s) })
		}
	})
	p := v.start(t, childPlan{})
	started <- p
	defer v.teacher.set(nil, nil)
	return p.wait(t)
}

// want wants one of some exit statuses, and an explanation of a bad one.
func (p *process) want(t *testing.T, codes ...int) {
	t.Helper()
	if !slices.Contains(codes, p.code) {
		t.Fatalf("status %d (%v), want one of %v\n%s\n%s", p.code, p.signal, codes, p.err.Bytes(), p.out.Bytes())
	}
	if p.code != exitOK && !strings.Contains(p.err.String(), "distillflow: ") {
		t.Errorf("status %d without a word: %q", p.code, p.err.Bytes())
	}
	if testing.Verbose() && p.code != exitOK {
		t.Logf("status %d: %s", p.code, p.err.Bytes())
	}
}

// mayBeKilled wants a run that was killed, or had ended well before.
func (p *process) mayBeKilled(t *testing.T) {
	t.Helper()
	if p.signal != syscall.SIGKILL {
		p.want(t, exitOK)
	}
}

// digests gives the digest of every output of the last run and the text of
// every saved file.
func (v *victim) digests(t *testing.T) map[string]string {
	t.Helper()
	m := map[string]string{}
	for line := range bytes.Lines(v.last) {
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.Kind == event.StageDone || e.Kind == event.StageHit {
			for port, o := range e.Outputs {
				m[e.Stage+"."+port] = o.Digest
			}
		}
	}
	saved, err := filepath.Glob(v.path("out/*.jsonl"))
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

func (v *victim) eachFile(t *testing.T, do func(path string, fi os.FileInfo)) {
	t.Helper()
	err := filepath.Walk(v.dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			do(path, fi)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// shiftTimes makes all files look as if they had been written at another time.
func (v *victim) shiftTimes(t *testing.T, by time.Duration) {
	t.Helper()
	v.eachFile(t, func(path string, fi os.FileInfo) {
		at := fi.ModTime().Add(by)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Error(err)
		}
	})
}

// checkStore wants a store without damage, in which every run has an end.
func (v *victim) checkStore(t *testing.T) {
	t.Helper()
	st, err := store.Open(v.path(".distillflow"), store.Options{ReadOnly: true, Warn: func(w store.Warning) { t.Error(w) }})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rep, err := st.Verify(t.Context(), 0)
	if err != nil || len(rep.Damaged)+len(rep.Broken)+rep.Incomplete > 0 {
		t.Errorf("after all: %+v, %v", rep, err)
	}
	runs, err := st.Runs()
	if err != nil || len(runs) == 0 {
		t.Errorf("runs %v, %v", runs, err)
	}
	ends := map[string]int{}
	for _, r := range runs {
		if ends[r.Status]++; r.Status == store.RunRunning {
			t.Errorf("run %s is running", r.ID)
		}
	}
	t.Logf("runs %v, %d requests", slices.Sorted(maps.Keys(ends)), len(v.teacher.asked))
}
