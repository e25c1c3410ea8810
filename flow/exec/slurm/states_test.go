//go:build unix

package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/exectest"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/exec/serve"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// told collects what a runner says.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (h *told) hooks() exec.Hooks {
	add := func(m string) { h.mu.Lock(); defer h.mu.Unlock(); h.lines = append(h.lines, m) }
	return exec.Hooks{Warn: add, Progress: func(p stage.Progress) { add(p.Message) }}
}

func (h *told) has(part string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.lines, func(l string) bool { return strings.Contains(l, part) })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := 20 * time.Second
	if os.Getenv(clusterVar) != "" {
		limit = 5 * time.Minute // requeued jobs wait for some
	}
	for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > limit {
			t.Fatal("it never came: " + what)
		}
	}
}

// slow skips a test that starts many processes: with the race detector each takes long,
// and what runs side by side is the same in those that stay.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts many processes")
	}
}

func letGo(t *testing.T, mark string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(mark, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// started runs a task that has begun when it returns.
func started(t *testing.T, r exec.Runner, task stage.Task, mark string, h exec.Hooks) (wait func() (stage.Result, error)) {
	t.Helper()
	var res stage.Result
	done := parallel.Start(func() (err error) { res, err = r.Run(t.Context(), task, h); return err })
	eventually(t, "the stage starts", func() bool { return exectest.Count(t, mark, "started") > 0 })
	return func() (stage.Result, error) { err := done(); return res, err }
}

// Tasks that start together and ask for the same are arrays of at most MaxArraySize.
func TestArrays(t *testing.T) {
	f := newFake(t)
	r := newRunner(t, quick())
	var g parallel.Group
	for i := range 11 {
		task, _ := exectest.Task(t, "")
		if i < 2 {
			task.Needs.Memory = 1 << 30
		}
		g.Go(func() error {
			res, err := r.Run(t.Context(), task, exec.Hooks{})
			exectest.Check(t, task, res, err)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{}
	f.update(func(s *fakeState) {
		for _, j := range s.Jobs {
			memory := slices.ContainsFunc(j.Argv, func(a string) bool { return a == "--mem=1024M" })
			sizes[fmt.Sprint(j.Name, memory)]++
		}
	})
	var got []string
	for name, n := range sizes {
		got = append(got, fmt.Sprint(n, strings.HasSuffix(name, "true")))
	}
	slices.Sort(got)
	if fmt.Sprint(got) != "[1 false 2 true 4 false 4 false]" || f.submitted() != 4 {
		t.Errorf("%d submissions: %v", f.submitted(), got)
	}
}

func TestMaxJobs(t *testing.T) {
	slow(t)
	f := newFake(t)
	s := quick()
	s.MaxJobs = 2
	r := newRunner(t, s)
	var g parallel.Group
	var marks []string
	for range 5 {
		task, mark := exectest.Task(t, "wait")
		marks = append(marks, mark)
		g.Go(func() error { _, err := r.Run(t.Context(), task, exec.Hooks{}); return err })
	}
	alive := func() (n int) {
		f.update(func(s *fakeState) {
			for _, j := range s.Jobs {
				if !j.State.ended() {
					n++
				}
			}
		})
		return n
	}
	most := 0
	for _, mark := range marks {
		letGo(t, mark)
		most = max(most, alive())
	}
	if err := g.Wait(); err != nil || most > 2 || len(f.jobs()) != 5 {
		t.Errorf("%v, %d at a time, %d jobs", err, most, len(f.jobs()))
	}
}

func (f fake) jobs() (all []*fakeJob) {
	f.update(func(s *fakeState) { all = s.Jobs })
	return all
}

// What ends a job by no fault of its own is waited for: it comes back.
func TestInterruptions(t *testing.T) {
	slow(t)
	for name, interrupt := range map[string]func(f fake){
		"preempted and queued again": func(f fake) { f.requeue(1) },
		"its node fails, then it is queued again": func(f fake) {
			f.end(1, "NODE_FAIL", 0, 0)
			time.Sleep(200 * time.Millisecond)
			f.requeue(1)
		},
		"preempted for good": func(f fake) { f.end(1, "PREEMPTED", 0, 15) },
		"suspended": func(f fake) {
			f.update(func(s *fakeState) { s.Jobs[0].State = "SUSPENDED" })
			time.Sleep(time.Second)
			f.update(func(s *fakeState) { s.Jobs[0].State = "RUNNING" })
		},
		"the controller does not answer": func(f fake) {
			f.fault("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
			f.fault("scontrol", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
			time.Sleep(2 * time.Second)
			f.fault("squeue", "")
			f.fault("scontrol", "")
		},
		"lists without it, for long": func(f fake) {
			f.update(func(s *fakeState) { s.Hide = true })
			time.Sleep(2 * time.Second)
			f.fault("scontrol", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
			time.Sleep(2 * time.Second)
			f.fault("scontrol", "")
			f.update(func(s *fakeState) { s.Hide = false })
		},
		"preempted for good, with notice": func(f fake) {
			f.update(func(s *fakeState) { s.Jobs[0].State = "PREEMPTED"; s.Jobs[0].tell() })
			// The stage must not end well before it hears of it.
			eventually(f.t, "it is submitted again", func() bool { return f.submitted() == 2 })
		},
		"a list without it": func(f fake) {
			f.update(func(s *fakeState) { s.Jobs[0].State = "" })
			time.Sleep(300 * time.Millisecond)
			f.update(func(s *fakeState) { s.Jobs[0].State = "RUNNING" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			task, mark := exectest.Task(t, "wait")
			var h told
			wait := started(t, newRunner(t, quick()), task, mark, h.hooks())
			eventually(t, "job 1 runs on fake1", func() bool { return h.has("job 1 runs on fake1") })
			interrupt(f)
			letGo(t, mark)
			res, err := wait()
			exectest.Check(t, task, res, err)
			switch name {
			case "preempted for good", "preempted for good, with notice":
				if f.submitted() != 2 || !h.has("PREEMPTED) and Slurm does not queue it again; it is submitted again") {
					t.Errorf("%d submissions, %q", f.submitted(), h.lines)
				}
			case "the controller does not answer":
				if !h.has("Slurm does not answer") {
					t.Errorf("%q", h.lines)
				}
				fallthrough
			default:
				if f.submitted() != 1 {
					t.Errorf("%d submissions", f.submitted())
				}
			}
		})
	}
}

// How a job ended is told by name, with what to do.
func TestEnds(t *testing.T) {
	slow(t)
	for name, c := range map[string]struct {
		end   func(f fake)
		of    exec.Shortage
		wants []string
	}{
		"out of memory":         {func(f fake) { f.end(1, "OUT_OF_MEMORY", 0, 125) }, exec.OfMemory, []string{"job 1 on fake1 took more than the 512 MiB", "raise the stage's resources: {memory: ...}"}},
		"killed, not explained": {func(f fake) { f.end(1, "FAILED", 0, 9) }, exec.OfMemory, []string{"killed by signal 9", "512 MiB"}},
		"out of time":           {func(f fake) { f.end(1, "TIMEOUT", 0, 15) }, exec.OfTime, []string{"came to the end of its time, 00:01:00", "raise the stage's timeout:"}},
		"cancelled by others":   {func(f fake) { f.end(1, "CANCELLED", 0, 15) }, "", []string{"job 1 on fake1 was cancelled by somebody else"}},
		"failed":                {func(f fake) { f.end(1, "FAILED", 3, 0) }, "", []string{"ended without a result (FAILED, exit status 3"}},
		"forgotten":             {func(f fake) { f.end(1, "", 0, 0) }, "", []string{"is no longer in Slurm's queue and left no result"}},
		"forgotten, but accounted for": {func(f fake) {
			f.update(func(s *fakeState) { s.Accounting = true })
			f.end(1, "", 0, 0)
		}, exec.OfMemory, []string{"took more than"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			task, mark := exectest.Task(t, "alive")
			task.Needs.Memory = 512 << 20
			wait := started(t, newRunner(t, quick()), task, mark, exec.Hooks{})
			c.end(f)
			_, err := wait()
			var short *exec.ShortageError
			if errors.As(err, &short) != (c.of != "") || c.of != "" && (short.Of != c.of || short.Had.Memory != 512<<20) {
				t.Errorf("%#v", err)
			}
			for _, want := range c.wants {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %s", err, want)
				}
			}
			if _, err := os.Stat(job.Of(task).File(intentFile)); err == nil {
				t.Error("the submission is still written down")
			}
		})
	}
}

// A worker that ends without a word says so at once, by its job.
func TestWorkerEnds(t *testing.T) {
	slow(t)
	newFake(t)
	s := quick()
	s.Lag = time.Hour
	for act, want := range map[string]string{"exit": "exit status 17", "kill": "killed by signal 9"} {
		task, _ := exectest.Task(t, act)
		_, err := newRunner(t, s).Run(t.Context(), task, exec.Hooks{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", act, err)
		}
	}
}

// At the end of a job's time the stage is told, and the next try goes on.
func TestEndOfTime(t *testing.T) {
	slow(t)
	f := newFake(t)
	task, mark := exectest.Task(t, "resume")
	r := newRunner(t, quick())
	wait := started(t, r, task, mark, exec.Hooks{})
	eventually(t, "half is done", func() bool { _, err := os.Stat(filepath.Join(task.WorkDir, "half")); return err == nil })
	f.update(func(s *fakeState) { s.Jobs[0].tell() })
	_, err := wait()
	var short *exec.ShortageError
	if !errors.As(err, &short) || short.Of != exec.OfTime {
		t.Fatalf("%v", err)
	}
	res, err := r.Run(t.Context(), task, exec.Hooks{})
	exectest.Check(t, task, res, err)
}

// A submission that failed may have been taken all the same.
func TestSubmission(t *testing.T) {
	slow(t)
	const timedOut = "error: Batch job submission failed: Socket timed out on send/recv operation"
	for name, c := range map[string]struct {
		fault     string
		submitted int
		want      string
	}{
		"taken, and nobody heard": {"taken:" + timedOut, 1, ""},
		"not taken":               {timedOut, 1, ""},
		"too many jobs":           {"error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", 1, ""},
		"refused":                 {"error: Batch job submission failed: Invalid partition name specified", 0, "Slurm refuses the job: sbatch: error: Batch job submission failed: Invalid partition name"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.fault("sbatch", c.fault)
			task, mark := exectest.Task(t, "")
			mend := parallel.Start(func() error {
				for f.calls("sbatch") == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				if c.want == "" {
					f.fault("sbatch", "")
				}
				return nil
			})
			res, err := newRunner(t, quick()).Run(t.Context(), task, exec.Hooks{})
			_ = mend()
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !exec.Permanent(err) {
					t.Errorf("%v", err)
				}
				return
			}
			exectest.Check(t, task, res, err)
			if n := exectest.Count(t, mark, "started"); n != 1 || f.submitted() != c.submitted {
				t.Errorf("it ran %d times, was submitted %d times", n, f.submitted())
			}
		})
	}
}

// A job whose submission was given up does nothing when it starts.
func TestGivenUp(t *testing.T) {
	slow(t)
	f := newFake(t)
	f.update(func(s *fakeState) { s.Hold = true })
	f.fault("sbatch", "taken:error: Socket timed out")
	f.fault("squeue", "down")
	task, mark := exectest.Task(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	old := patience
	patience = 200 * time.Millisecond
	defer func() { patience = old }()
	done := parallel.Start(func() error { _, err := newRunner(t, quick()).Run(ctx, task, exec.Hooks{}); return err })
	eventually(t, "it is submitted", func() bool { return f.submitted() == 1 })
	cancel()
	_ = done()
	in, ok := readIntent(job.Of(task))
	if !ok {
		t.Fatal("a job that may be there is no longer written down")
	}
	in.Name = "another"
	if err := in.write(job.Of(task), atomicfile.Relaxed); err != nil {
		t.Fatal(err)
	}
	f.update(func(s *fakeState) { startJob(s, s.Jobs[0]) })
	eventually(t, "the job ends", func() bool { return f.job(1).State == "COMPLETED" })
	if exectest.Count(t, mark, "started") != 0 {
		t.Error("a job that was given up has run")
	}
}

// Whoever goes on after a kill finds what was submitted by its name, or submits it.
func TestResume(t *testing.T) {
	slow(t)
	t.Run("killed before sbatch", func(t *testing.T) {
		f := newFake(t)
		task, mark := exectest.Task(t, "")
		if _, err := job.Of(task).Write(task); err != nil {
			t.Fatal(err)
		}
		if err := (intent{Name: newName(), At: time.Now()}).write(job.Of(task), atomicfile.Durable); err != nil {
			t.Fatal(err)
		}
		res, err := newRunner(t, quick()).Run(t.Context(), task, exec.Hooks{})
		exectest.Check(t, task, res, err)
		if f.submitted() != 1 || exectest.Count(t, mark, "started") != 1 {
			t.Error(f.submitted())
		}
	})
	t.Run("killed before sbatch answered", func(t *testing.T) {
		f := newFake(t)
		task, mark := exectest.Task(t, "wait")
		first, stop := context.WithCancel(t.Context())
		defer stop()
		parallel.Start(func() error { _, err := newRunner(t, quick()).Run(first, task, exec.Hooks{}); return err })
		eventually(t, "it starts", func() bool { return exectest.Count(t, mark, "started") == 1 })
		in, _ := readIntent(job.Of(task))
		in.Job = ""
		if err := errors.Join(in.write(job.Of(task), atomicfile.Relaxed), os.Remove(filepath.Join(task.WorkDir, "slurm.lock"))); err != nil {
			t.Fatal(err)
		}
		var h told
		done := make(chan error, 1)
		parallel.Start(func() error {
			_, err := newRunner(t, quick()).Run(t.Context(), task, h.hooks())
			done <- err
			return nil
		})
		eventually(t, "the second finds it", func() bool { return h.has("job 1 runs on") })
		letGo(t, mark)
		eventually(t, "the job ends", func() bool { return exectest.Count(t, mark, "done") == 1 })
		if f.submitted() != 1 {
			t.Errorf("%d submissions", f.submitted())
		}
		stop()
	})
	t.Run("the job ended meanwhile, badly", func(t *testing.T) {
		f := newFake(t)
		task, mark := exectest.Task(t, "")
		if _, err := job.Of(task).Write(task); err != nil {
			t.Fatal(err)
		}
		if err := (intent{Name: newName(), At: time.Now().Add(-time.Hour), Job: "12"}).write(job.Of(task), atomicfile.Durable); err != nil {
			t.Fatal(err)
		}
		var h told
		res, err := newRunner(t, quick()).Run(t.Context(), task, h.hooks())
		exectest.Check(t, task, res, err)
		if f.submitted() != 1 || exectest.Count(t, mark, "started") != 1 || !h.has("job 12 of an earlier run ended without a result") {
			t.Errorf("%d, %q", f.submitted(), h.lines)
		}
	})
}

// Two runners that are given the same task do not submit it twice.
func TestTwoRunners(t *testing.T) {
	f := newFake(t)
	task, mark := exectest.Task(t, "wait")
	wait := started(t, newRunner(t, quick()), task, mark, exec.Hooks{})
	var h told
	ctx, cancel := context.WithCancel(t.Context())
	second := parallel.Start(func() error { _, err := newRunner(t, quick()).Run(ctx, task, h.hooks()); return err })
	eventually(t, "the second waits", func() bool { return h.has("another process runs the same task") })
	if f.submitted() != 1 {
		t.Errorf("%d submissions", f.submitted())
	}
	cancel()
	if err := second(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	letGo(t, mark)
	res, err := wait()
	exectest.Check(t, task, res, err)
	if f.submitted() != 1 {
		t.Errorf("%d submissions", f.submitted())
	}
}

// After a cancel nothing is left in the queue, whatever state the jobs were in and
// whether Slurm answers at once.
func TestCancelAll(t *testing.T) {
	slow(t)
	f := newFake(t)
	r := newRunner(t, quick())
	ctx, cancel := context.WithCancel(t.Context())
	var g parallel.Group
	var h told
	for i := range 6 {
		if i == 3 {
			eventually(t, "the first three start", func() bool { return len(f.jobs()) == 3 })
			f.update(func(s *fakeState) { s.Hold = true })
		}
		task, _ := exectest.Task(t, "alive")
		hooks := h.hooks()
		g.Go(func() error {
			_, err := r.Run(ctx, task, hooks)
			if _, serr := os.Stat(job.Of(task).File(intentFile)); serr == nil {
				t.Error("a submission is still written down")
			}
			return err
		})
	}
	eventually(t, "all show in the queue", func() bool {
		return h.has("job 1_0 runs") && h.has("job 4_0 is PENDING") && h.has("job 4_1 is PENDING") && h.has("job 4_2 is PENDING")
	})
	f.fault("scancel", "Unable to contact slurm controller")
	old := settle
	settle = time.Minute // what was seen in the queue need not settle
	defer func() { settle = old }()
	start := time.Now()
	cancel()
	time.Sleep(300 * time.Millisecond)
	f.fault("scancel", "")
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("it took %s", d)
	}
	for _, j := range f.jobs() {
		if j.State != "CANCELLED" && j.State != "" {
			t.Errorf("job %s is %s", j.id(), j.State)
		}
	}
}

func TestStuck(t *testing.T) {
	slow(t)
	f := newFake(t)
	f.update(func(s *fakeState) { s.Hold = true })
	task, _ := exectest.Task(t, "")
	var h told
	var res stage.Result
	done := parallel.Start(func() (err error) { res, err = newRunner(t, quick()).Run(t.Context(), task, h.hooks()); return err })
	eventually(t, "it waits", func() bool { return h.has("job 1 is PENDING: Resources") })
	f.update(func(s *fakeState) { s.Jobs[0].Reason = "PartitionTimeLimit" })
	eventually(t, "it is stuck", func() bool { return h.has("does not start by itself: Slurm says PartitionTimeLimit") })
	f.update(func(s *fakeState) { startJob(s, s.Jobs[0]) })
	err := done()
	exectest.Check(t, task, res, err)
}

// The shell's lines come before the stage, and a server beside it, whatever they hold.
func TestSetupAndServe(t *testing.T) {
	slow(t)
	newFake(t)
	task, mark := exectest.Task(t, "ask")
	s := quick()
	s.Setup = "touch '" + mark + "/it'\\''s set up'\n"
	s.Serve = serve.Server{Command: "echo \"it's\" $" + serve.PortVar + " >'" + mark + "/served'; sleep 600", Ready: "test -s '" + mark + "/served'"}
	res, err := newRunner(t, s).Run(t.Context(), task, exec.Hooks{})
	exectest.Check(t, task, res, err)
	if _, err := os.Stat(filepath.Join(mark, "it's set up")); err != nil {
		t.Error(err)
	}
	s.Serve = serve.Server{Command: "echo no model; exit 4", Ready: "false"}
	if _, err := newRunner(t, s).Run(t.Context(), task, exec.Hooks{}); err == nil || !strings.Contains(err.Error(), "no model") || !strings.Contains(err.Error(), "ended before it was ready (exit status 4)") {
		t.Error(err)
	}
}

// A node that does not see the folder says so.
func TestNoFolder(t *testing.T) {
	slow(t)
	f := newFake(t)
	task, _ := exectest.Task(t, "")
	f.update(func(s *fakeState) { s.Hold = true })
	done := parallel.Start(func() error { _, err := newRunner(t, quick()).Run(t.Context(), task, exec.Hooks{}); return err })
	eventually(t, "it is submitted", func() bool { return f.submitted() == 1 })
	f.end(1, "FAILED", noFolder, 0)
	if err := done(); err == nil || !strings.Contains(err.Error(), "did not see the folder") {
		t.Error(err)
	}
}
