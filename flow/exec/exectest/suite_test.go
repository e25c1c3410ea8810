package exectest_test

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/exectest"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/stage"
)

func TestMain(m *testing.M) {
	if code, is := exectest.Program(os.Exit, nil); is {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}

func TestInProcess(t *testing.T) {
	exectest.Suite{New: func(*testing.T) exec.Runner { return local.InProcess{Registry: exectest.Registry()} }}.Run(t)
}

func TestProcess(t *testing.T) {
	exectest.Suite{New: func(*testing.T) exec.Runner { return local.Process{Argv: []string{os.Args[0], "worker", "-"}} }}.Run(t)
}

// A worker in a child process, by a folder and nothing else.
func TestFolder(t *testing.T) {
	exectest.Suite{New: func(*testing.T) exec.Runner { return inFolder{} }, Elsewhere: true, Log: "its log is (.*)$"}.Run(t)
}

type inFolder struct{}

func (inFolder) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	f := job.Of(t)
	known, err := f.Write(t)
	if err != nil {
		return stage.Result{}, err
	}
	if known {
		if res, err := f.Collect(t); err == nil {
			return res, nil
		}
		if err := f.Forget(); err != nil {
			return stage.Result{}, err
		}
	}
	cmd := osexec.CommandContext(ctx, os.Args[0], "worker", string(f))
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	log, err := os.Create(f.File("worker.log"))
	if err != nil {
		return stage.Result{}, err
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return stage.Result{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	follow := job.Follower{Folder: f}
	for over := false; ; {
		if o, _ := h.Control.Orders(t.Stage); h.Control != nil {
			_ = f.Order(o)
		}
		if s, _ := follow.Poll(h); s != nil && h.Placed != nil {
			h.Placed("process " + strconv.Itoa(s.PID) + "; its log is " + log.Name())
		}
		res, err := f.Collect(t)
		var short *exec.ShortageError
		if errors.As(err, &short) {
			short.Had = t.Needs
		}
		if !errors.Is(err, job.ErrNoResult) || over {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return res, err
		}
		select {
		case <-ended:
			over = true
		case <-time.After(10 * time.Millisecond):
		}
	}
}
