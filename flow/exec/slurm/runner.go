package slurm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
)

// Times that tests shorten.
var (
	window    = time.Second      // in which tasks gather for one array
	fileEvery = time.Second      // between two looks at the files of a task
	settle    = 10 * time.Second // how long a submission may take to show in the queue
	patience  = time.Minute      // for cancelled jobs to go
)

// Runner runs tasks as jobs of a cluster. It implements [exec.Runner].
type Runner struct {
	s      Settings
	host   Host
	binary string

	mu       sync.Mutex
	waiting  []*element            // to be submitted
	queue    map[*element]struct{} // submitted, or thought to be
	watching bool
	wake     chan struct{}
}

// New gives a runner for a cluster.
func New(s Settings, h Host) (*Runner, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	binary, err := s.binary()
	if err != nil {
		return nil, fmt.Errorf("which program the nodes are to run: %w; name it with binary", err)
	}
	if s.Poll == 0 {
		s.Poll = 10 * time.Second
	}
	if s.Lag == 0 {
		s.Lag = time.Minute
	}
	return &Runner{s: s, host: h, binary: binary, queue: map[*element]struct{}{}, wake: make(chan struct{}, 1)}, nil
}

// element is one task on its way through the queue.
type element struct {
	task   stage.Task
	folder job.Folder
	req    request
	since  time.Time // when it was handed in
	hooks  exec.Hooks

	// guarded by Runner.mu
	intent    intent
	submitted bool
	attached  bool // submitted by an earlier run, and not seen at work in this one
	notBefore time.Time
	err       error // the submission's
	row       row   // as last seen; zero if never
	rowAt     time.Time
	stateAt   time.Time // when the state was first seen
	absent    int       // good queries in a row that did not list it
	absentAt  time.Time // the first of them
	ran       bool      // it was seen at work
	held      bool      // that it does not start was told
	cancel    bool
	cancelled time.Time // when scancel was last told
}

// Run implements [exec.Runner]. Whoever calls it again for the same task, such as a run
// that goes on after a kill, finds the task's job by its name.
func (r *Runner) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	unlock, err := lockTask(ctx, t, h)
	if err != nil {
		return stage.Result{}, err
	}
	defer unlock()
	folder, err := filepath.Abs(string(job.Of(t)))
	if err != nil {
		return stage.Result{}, err
	}
	e := &element{task: t, folder: job.Folder(folder), req: r.s.request(t), since: time.Now(), hooks: h}
	known, err := e.folder.Write(t)
	if err != nil {
		return stage.Result{}, err
	}
	follow := job.Follower{Folder: e.folder}
	var attached bool
	if known {
		res, done, err := e.resume(&follow)
		if done || err != nil {
			return res, err
		}
		attached = e.submitted
	}
	for try := 0; ; try++ {
		if !attached {
			if err := withdraw(e.folder); err != nil {
				return stage.Result{}, fmt.Errorf("removing what an earlier try left: %w", err)
			}
		}
		r.add(e)
		res, err := r.follow(ctx, e, &follow)
		r.remove(e)
		if err == nil && e.queuedAgain() { // its node failed after it had done its work, say
			_, _ = command(context.WithoutCancel(ctx), "", "scancel", e.intent.id()) // it would do nothing
		}
		var gone *goneError
		if errors.As(err, &gone) && try < maxGone && ctx.Err() == nil {
			e.warn(gone.Error() + "; it is submitted again")
			e = &element{task: t, folder: e.folder, req: e.req, since: time.Now(), hooks: h}
			attached = false
			continue
		}
		if err != nil && !errors.Is(err, errStillThere) {
			err = errors.Join(err, withdraw(e.folder))
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return res, err
	}
}

// maxGone is how often a task is submitted again after its job went by no fault of its
// own.
const maxGone = 20

// goneError is a job that ended by no fault of its own and does not come back.
type goneError struct{ what string }

func (e *goneError) Error() string { return e.what }

// errStillThere says that a job may be in the queue yet.
var errStillThere = errors.New("its job may still be in Slurm's queue")

// queuedAgain reports whether the job ran and was last seen waiting. Only for one that the
// watcher knows no more.
func (e *element) queuedAgain() bool { return e.ran && e.row.State == "PENDING" }

func (e *element) warn(m string) {
	if e.hooks.Warn != nil {
		e.hooks.Warn(m)
	}
}

// say shows a line beside the stage that runs.
func (e *element) say(m string) {
	if e.hooks.Progress != nil {
		e.hooks.Progress(stage.Progress{Message: m})
	}
}

// lockTask makes sure that nobody else submits the same task meanwhile. The store's lock
// of a key keeps two runs apart already; this one is for whoever runs tasks without it.
func lockTask(ctx context.Context, t stage.Task, h exec.Hooks) (unlock func(), err error) {
	if err := os.MkdirAll(t.WorkDir, 0o777); err != nil {
		return nil, fmt.Errorf("writing the task: %w", err)
	}
	path := filepath.Join(t.WorkDir, "slurm.lock")
	for told := false; ; told = true {
		l := flock.New(path)
		got, err := l.TryLock()
		if err != nil { // a file system without locks
			_ = l.Close()
			return func() {}, nil
		}
		mine, err := l.Stat()
		named, errNamed := os.Stat(path)
		if got && err == nil && errNamed == nil && os.SameFile(mine, named) {
			return func() { _ = errors.Join(os.Remove(path), l.Close()) }, nil
		}
		_ = l.Close()
		if !told && !got && h.Warn != nil {
			h.Warn("another process runs the same task by Slurm; this one waits for it")
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(fileEvery):
		}
	}
}

// resume looks at what an earlier run has left of the same task: its result, or a job
// that may still be there.
func (e *element) resume(follow *job.Follower) (res stage.Result, done bool, err error) {
	if res, err = e.folder.Collect(e.task); err == nil {
		_, _ = follow.Poll(e.hooks)
		return res, true, nil
	}
	in, ok := readIntent(e.folder)
	// A failure is the earlier run's; this one tries again, as with any stage.
	if ok && (errors.Is(err, job.ErrNoResult) || errors.Is(err, job.ErrNotThere)) {
		e.intent, e.submitted, e.attached = in, true, true
		e.say("looks for its job " + in.Name)
	}
	return stage.Result{}, false, nil
}

// follow waits for the end of a task, passes on what its worker tells, and hands it its
// orders.
func (r *Runner) follow(ctx context.Context, e *element, f *job.Follower) (stage.Result, error) {
	var last stage.Orders
	ordered := !r.attached(e) // else an earlier run may have left orders
	var broken time.Time      // since when the result cannot be taken
	var shown string
	for {
		orders, changed := e.hooks.Control.Orders(e.task.Stage)
		if !ordered || orders.Paused != last.Paused || !maps.Equal(orders.Set, last.Set) {
			if err := e.folder.Order(orders); err == nil { // else soon again
				last, ordered = orders, true
			}
		}
		pollErr := r.hear(e, f)
		verdict, err := r.judge(ctx, e) // before the result is looked for: it may come meanwhile
		res, resErr := e.folder.Collect(e.task)
		var failed *job.Error
		var short *exec.ShortageError
		switch {
		case resErr == nil:
			_ = r.hear(e, f) // what it told last
			return res, nil
		case errors.As(resErr, &short):
			_ = r.hear(e, f)
			short.Had = e.req.had
			return res, short
		case errors.As(resErr, &failed):
			_ = r.hear(e, f)
			return res, resErr
		case errors.Is(resErr, job.ErrNoResult):
			broken = time.Time{}
			if verdict {
				return stage.Result{}, err
			}
		case broken.IsZero():
			broken = time.Now()
		case time.Since(broken) > r.s.Lag:
			if r.attached(e) { // the outputs may have been taken already, before the kill
				return stage.Result{}, &goneError{"the outputs of its earlier job are gone"}
			}
			return stage.Result{}, fmt.Errorf("taking the result of job %s: %w", r.id(e), resErr)
		}
		if s := r.shown(e); s != "" && s != shown && pollErr == nil {
			shown = s
			e.say(s)
		}
		select {
		case <-changed:
		case <-time.After(fileEvery):
		case <-ctx.Done():
			return stage.Result{}, r.cancel(ctx, e)
		}
	}
}

// hear passes on what a task's worker tells, and where one has begun.
func (r *Runner) hear(e *element, f *job.Follower) error {
	s, err := f.Poll(e.hooks)
	if s != nil && e.hooks.Placed != nil {
		e.hooks.Placed(fmt.Sprintf("job %s on %s; until it is done its worker's log is %s", r.id(e), s.Host, e.folder.File(logFile)))
	}
	return err
}

// id names an element's job.
func (r *Runner) id(e *element) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(e.intent.id(), e.intent.Name)
}

func (r *Runner) attached(e *element) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.attached
}

// shown is the line beside a stage that waits or runs.
func (r *Runner) shown(e *element) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s := e.row; {
	case !e.submitted:
		return "is to be submitted to Slurm"
	case s.State == "":
		return ""
	case s.State == "RUNNING" || s.State == "COMPLETING":
		return fmt.Sprintf("job %s runs on %s", s.ID, s.Node)
	case s.State.ended():
		return fmt.Sprintf("job %s ended (%s)", s.ID, s.State)
	case s.Reason == "" || s.Reason == "None":
		return fmt.Sprintf("job %s is %s", s.ID, s.State)
	default:
		return fmt.Sprintf("job %s is %s: %s", s.ID, s.State, s.Reason)
	}
}

// cancel takes the task's job out of the queue, and waits until it is gone.
func (r *Runner) cancel(ctx context.Context, e *element) error {
	cause := context.Cause(ctx)
	r.mu.Lock()
	e.cancel = true
	r.mu.Unlock()
	r.poke()
	for start := time.Now(); ; {
		r.mu.Lock()
		_, queued := r.queue[e]
		waits := false
		for _, w := range r.waiting {
			waits = waits || w == e
		}
		gone := e.err != nil || !queued && !waits || queued && !e.cancelled.IsZero() && e.rowAt.After(e.cancelled) && (e.row.State.ended() || e.row.State.interrupted()) ||
			queued && e.absent > 0 && (e.row.State != "" || time.Since(e.intent.At) > settle)
		r.mu.Unlock()
		if gone {
			return cause
		}
		if time.Since(start) > patience {
			e.warn(fmt.Sprintf("job %s could not be cancelled in time: look with squeue, and end it with scancel", r.id(e)))
			return errors.Join(cause, errStillThere)
		}
		time.Sleep(fileEvery / 4)
	}
}
