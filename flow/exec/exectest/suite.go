package exectest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Suite says what is tested, and how.
type Suite struct {
	// New gives a runner, one for a test.
	New func(t *testing.T) exec.Runner
	// Elsewhere is a runner whose tasks outlive this process: it minds their timeouts,
	// and finds them again.
	Elsewhere bool
	// Coordinator reports that [Program] was given a runner that a process of its own can
	// run tasks with.
	Coordinator bool
	Env         []string // of that process, besides this one's
	// Log is a pattern of what a runner on other machines tells of where a task runs and
	// where its worker's log is; its group, if it has one, is a file. "" is for a runner
	// that tells nothing.
	Log string
	// Patience bounds everything that must happen soon; 0 is 20 s.
	Patience time.Duration
}

// heard collects what a runner passes on.
type heard struct {
	mu       sync.Mutex
	progress []stage.Progress
	warnings []string
	placed   []string
}

func (h *heard) hooks() exec.Hooks {
	return exec.Hooks{
		Placed:   func(m string) { h.mu.Lock(); defer h.mu.Unlock(); h.placed = append(h.placed, m) },
		Progress: func(p stage.Progress) { h.mu.Lock(); defer h.mu.Unlock(); h.progress = append(h.progress, p) },
		Warn:     func(m string) { h.mu.Lock(); defer h.mu.Unlock(); h.warnings = append(h.warnings, m) },
		Control:  &stage.Control{},
	}
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	if s.Patience == 0 {
		s.Patience = 20 * time.Second
	}
	for name, test := range map[string]func(*testing.T){
		"success": s.success, "many": s.many, "failures": s.failures, "orders": s.orders, "cancel": s.cancel,
		"before it starts": s.cancelled, "again": s.again,
	} {
		t.Run(name, test)
	}
	if s.Elsewhere {
		t.Run("time is up", s.late)
		t.Run("a result that is there", s.found)
		t.Run("damaged outputs", s.damaged)
	}
	if s.Log != "" {
		t.Run("log", s.log)
	}
	if s.Coordinator {
		t.Run("the coordinator is killed", s.killed)
	}
}

func (s Suite) context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*s.Patience)
	t.Cleanup(cancel)
	return ctx
}

// wait waits for what must happen soon.
func (s Suite) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); {
		if time.Since(start) > s.Patience {
			t.Fatalf("after %s: %s", s.Patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s Suite) success(t *testing.T) {
	task, _ := Task(t, "")
	var h heard
	res, err := s.New(t).Run(s.context(t), task, h.hooks())
	Check(t, task, res, err)
	var own []stage.Progress // a runner may tell where the task is
	for _, p := range h.progress {
		if p.Total > 0 {
			own = append(own, p)
		}
	}
	if len(own) != 1 || own[0].Total != 2 || own[0].Values["loss"] != 0.5 {
		t.Errorf("progress %+v", h.progress)
	}
	if len(h.warnings) != 1 || h.warnings[0] != "careful, please" {
		t.Errorf("warnings %q", h.warnings)
	}
}

func (s Suite) many(t *testing.T) {
	r := s.New(t)
	ctx := s.context(t)
	var g parallel.Group
	results := make([]stage.Result, 8)
	tasks := make([]stage.Task, len(results))
	for i := range tasks {
		tasks[i], _ = Task(t, "")
		g.Go(func() (err error) {
			results[i], err = r.Run(ctx, tasks[i], exec.Hooks{})
			return err
		})
	}
	err := g.Wait()
	for i, task := range tasks {
		Check(t, task, results[i], err)
	}
}

func (s Suite) failures(t *testing.T) {
	for act, want := range map[string]struct {
		message   string
		permanent bool
		budget    bool
	}{
		"fail": {"toy failure", false, false}, "final": {"toy refusal", true, false},
		"budget": {"toy budget spent", true, true}, "panic": {"internal error: toy panic", true, false},
	} {
		t.Run(act, func(t *testing.T) {
			task, _ := Task(t, act)
			res, err := s.New(t).Run(s.context(t), task, exec.Hooks{})
			if err == nil || !strings.Contains(err.Error(), want.message) || exec.Permanent(err) != want.permanent {
				t.Errorf("%v, permanent %v", err, exec.Permanent(err))
			}
			if exec.OverBudget(errors.Join(errors.New("another stage's"), err)) != want.budget {
				t.Errorf("%v, over budget %v", err, !want.budget)
			}
			if res.Stats["calls"] != 3 {
				t.Errorf("the stats of a failed task: %v", res.Stats)
			}
		})
	}
}

// A runner tells, once a worker has begun, where that is and where its log is.
func (s Suite) log(t *testing.T) {
	task, mark := Task(t, "speak")
	var h heard
	var res stage.Result
	r, ctx := s.New(t), s.context(t)
	wait := parallel.Start(func() (err error) { res, err = r.Run(ctx, task, h.hooks()); return err })
	var told string
	s.wait(t, "nobody says where the task runs", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		told = strings.Join(h.placed, "")
		return told != ""
	})
	if m := regexp.MustCompile(s.Log).FindStringSubmatch(told); m == nil {
		t.Errorf("it tells %q", told)
	} else if len(m) > 1 {
		s.wait(t, "the worker's log lacks what it wrote", func() bool {
			b, err := os.ReadFile(m[1])
			return err == nil && strings.Contains(string(b), "toy speaks")
		})
	}
	if err := os.WriteFile(filepath.Join(mark, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	Check(t, task, res, wait())
	if len(h.placed) != 1 {
		t.Errorf("it tells %q", h.placed)
	}
}

// A failed task can be given again, and runs anew.
func (s Suite) again(t *testing.T) {
	task, mark := Task(t, "fail")
	r := s.New(t)
	for try := range 2 {
		if _, err := r.Run(s.context(t), task, exec.Hooks{}); err == nil || !strings.Contains(err.Error(), "toy failure") {
			t.Fatalf("try %d: %v", try, err)
		}
	}
	if n := Count(t, mark, "started"); n != 2 {
		t.Errorf("it ran %d times", n)
	}
}

func (s Suite) orders(t *testing.T) {
	task, mark := Task(t, "rest")
	var h heard
	hooks := h.hooks()
	var res stage.Result
	r, ctx := s.New(t), s.context(t)
	wait := parallel.Start(func() (err error) { res, err = r.Run(ctx, task, hooks); return err })
	beats := func() int { return Count(t, mark, "beat") }
	s.wait(t, "the stage has not started", func() bool { return beats() > 0 })
	hooks.Control.Pause(true)
	s.wait(t, "the stage does not rest", func() bool {
		n := beats()
		time.Sleep(300 * time.Millisecond)
		return beats() == n
	})
	hooks.Control.Set(task.Stage, "pace", 7)
	time.Sleep(300 * time.Millisecond)
	if Count(t, mark, "done") != 0 {
		t.Error("a stage that rests has ended")
	}
	hooks.Control.Pause(false)
	Check(t, task, res, wait())
}

func (s Suite) cancel(t *testing.T) {
	task, mark := Task(t, "alive")
	ctx, cancel := context.WithCancel(s.context(t))
	r := s.New(t)
	wait := parallel.Start(func() error { _, err := r.Run(ctx, task, exec.Hooks{}); return err })
	s.wait(t, "the stage has not started", func() bool { return Count(t, mark, "alive") > 0 })
	cancel()
	ended := make(chan error, 1)
	parallel.Start(func() error { ended <- wait(); return nil })
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(2 * s.Patience):
		t.Fatal("the runner does not return")
	}
	n := Count(t, mark, "alive")
	time.Sleep(300 * time.Millisecond)
	if more := Count(t, mark, "alive"); more != n {
		t.Error("the stage is alive after its runner returned")
	}
}

func (s Suite) cancelled(t *testing.T) {
	task, mark := Task(t, "alive")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.New(t).Run(ctx, task, exec.Hooks{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	time.Sleep(300 * time.Millisecond)
	if n := Count(t, mark, "alive"); n > 0 && Count(t, mark, "stopped") == 0 {
		t.Errorf("the stage runs")
	}
}

func (s Suite) late(t *testing.T) {
	task, mark := Task(t, "alive")
	task.Needs.Time = 300 * time.Millisecond
	_, err := s.New(t).Run(s.context(t), task, exec.Hooks{})
	var short *exec.ShortageError
	if !errors.As(err, &short) || short.Of != exec.OfTime || short.Had.Time != task.Needs.Time {
		t.Errorf("%#v", err)
	}
	if Count(t, mark, "stopped") != 1 {
		t.Error("the stage was not stopped")
	}
}

// worked lets a worker run a task as one did whose coordinator is gone.
func worked(t *testing.T, task stage.Task) job.Folder {
	t.Helper()
	f := job.Of(task)
	if _, err := f.Write(task); err != nil {
		t.Fatal(err)
	}
	if err := job.Work(t.Context(), f, Registry(), stage.Services{}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (s Suite) found(t *testing.T) {
	task, mark := Task(t, "")
	worked(t, task)
	res, err := s.New(t).Run(s.context(t), task, exec.Hooks{})
	Check(t, task, res, err)
	if n := Count(t, mark, "started"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// Damaged outputs are never taken: the task fails, or runs again.
func (s Suite) damaged(t *testing.T) {
	task, _ := Task(t, "")
	f := worked(t, task)
	rows, err := filepath.Glob(f.File("out-*/rows"))
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if err := os.WriteFile(rows[0], []byte("{\"n\":8}\n{\"n\":1}\n{\"n\":2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	res, err := s.New(t).Run(s.context(t), task, exec.Hooks{})
	if err == nil {
		Check(t, task, res, err)
	} else if !errors.Is(err, job.ErrNotThere) {
		t.Error(err)
	}
}

// A coordinator that is killed leaves its task at work; the next one finds it.
func (s Suite) killed(t *testing.T) {
	r := s.New(t) // which may set up what the coordinator needs
	task, mark := Task(t, "wait")
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(mark, "task.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := osexec.Command(os.Args[0])
		cmd.Env = append(append(os.Environ(), s.Env...), coordinatorVar+"="+file)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.wait(t, "the stage has not started", func() bool { return Count(t, mark, "started") > 0 })
		time.Sleep(200 * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	if err := os.WriteFile(filepath.Join(mark, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	res, err := r.Run(s.context(t), task, exec.Hooks{})
	Check(t, task, res, err)
	if n := Count(t, mark, "started"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}
