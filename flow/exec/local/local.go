// Package local runs tasks on this machine: in this process, or each in a
// process of its own.
package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// InProcess runs tasks in this process.
type InProcess struct {
	Registry *stage.Registry
	Services stage.Services
}

// Run implements [exec.Runner].
func (p InProcess) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	svc := p.Services
	svc.Progress, svc.Warn, svc.Control = h.Progress, h.Warn, h.Control
	return p.Registry.Run(ctx, t, svc)
}

// Process runs each task in a process of its own: Argv, with the task on its
// standard input, which stays open as long as this process lives. The command
// must call [Attached].
type Process struct {
	Argv []string
	Env  []string // nil means this process's environment
}

// Run implements [exec.Runner].
func (p Process) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	task, err := json.Marshal(t)
	if err != nil {
		return stage.Result{}, fmt.Errorf("writing the task: %w", err)
	}
	cmd := osexec.CommandContext(ctx, p.Argv[0], p.Argv[1:]...)
	cmd.Env = p.Env
	if len(t.GPUs) > 0 {
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		// The last of several values counts.
		cmd.Env = append(slices.Clip(cmd.Env), stage.VisibleGPUs+"="+strings.Join(t.GPUs, ","))
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	stderr := &tail{max: 64 << 10}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return stage.Result{}, fmt.Errorf("starting a worker: %w", err)
	}
	// Not StdoutPipe: a child of the worker may outlive it and hold the pipe
	// open. Wait gives up on such a pipe after WaitDelay, a reader would not.
	r, w := io.Pipe()
	cmd.Stdout = w
	var last job.Message
	relayed := parallel.Start(func() error {
		defer r.Close() // lets the worker end, should a hook have panicked
		last = job.Relay(r, h)
		return nil
	})
	if err := cmd.Start(); err != nil {
		w.Close()
		return stage.Result{}, errors.Join(fmt.Errorf("starting a worker: %w", err), relayed())
	}
	ended := make(chan struct{})
	parallel.Start(func() error {
		_, err := stdin.Write(append(task, '\n')) // a worker that does not read it ends without a result
		steer(h.Control, t.Stage, stdin, err, ended)
		return nil
	})
	waitErr := cmd.Wait()
	close(ended)
	w.Close()
	if err := relayed(); err != nil {
		return stage.Result{}, err
	}
	if errors.Is(waitErr, osexec.ErrWaitDelay) {
		waitErr = nil // the worker itself ended well
	}
	var counted stage.Result // of a task that failed
	if last.Result != nil {
		counted.Stats = last.Result.Stats
	}
	switch {
	case ctx.Err() != nil:
		return counted, ctx.Err()
	case last.Error != "":
		_, err := last.Outcome()
		return counted, err
	case last.Result == nil || waitErr != nil:
		return stage.Result{}, &job.Error{
			Msg:      fmt.Sprintf("the worker process ended without a result (%v)\n%s", cmp.Or(waitErr, io.ErrUnexpectedEOF), stderr.buf),
			ExitCode: cmd.ProcessState.ExitCode(),
		}
	}
	return *last.Result, nil
}

// steer writes the orders for a stage to its worker, one a line, until it has ended.
func steer(c *stage.Control, name string, stdin io.Writer, err error, ended <-chan struct{}) {
	var last stage.Orders
	for err == nil {
		o, changed := c.Orders(name)
		if o.Paused != last.Paused || !maps.Equal(o.Set, last.Set) {
			var b []byte
			if b, err = json.Marshal(o); err == nil {
				_, err = stdin.Write(append(b, '\n'))
			}
			last = o
		}
		select {
		case <-changed:
		case <-ended:
			return
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// Attached runs the task that r begins with, as [job.Run] does, for [Process], and obeys
// the [stage.Orders] that follow. It stops when r ends: then the process that wanted the result is gone, and another
// one may already be at work on the same task. If the task does not stop soon,
// abandon is called; it should end the process.
func Attached(ctx context.Context, r io.Reader, reg *stage.Registry, svc stage.Services, w io.Writer, abandon func()) error {
	var t stage.Task
	d := json.NewDecoder(r)
	if err := d.Decode(&t); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	svc.Control = &stage.Control{}
	parallel.Start(func() error {
		var o stage.Orders
		for d.Decode(&o) == nil {
			svc.Control.Obey(t.Stage, o)
			o = stage.Orders{}
		}
		_, _ = io.Copy(io.Discard, r)
		cancel(errors.New("the process that started this worker is gone"))
		select {
		case <-done:
		case <-time.After(grace):
			abandon()
		}
		return nil
	})
	return job.Run(ctx, t, reg, svc, w)
}

// grace is how long an abandoned task may take to stop.
var grace = 2 * time.Second // tests shorten it
