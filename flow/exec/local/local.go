// Package local runs tasks on this machine: in this process, or each in a
// process of its own.
package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
)

// InProcess runs tasks in this process.
type InProcess struct {
	Registry *stage.Registry
	Services stage.Services
}

// Run implements [exec.Runner].
func (p InProcess) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	svc := p.Services
	svc.Progress, svc.Warn = h.Progress, h.Warn
	return p.Registry.Run(ctx, t, svc)
}

// Process runs each task in a process of its own: Argv with the task's file
// appended. The command must call [Worker].
type Process struct {
	Argv []string
	Env  []string // nil means this process's environment
}

// message is one line of a worker's output.
type message struct {
	Progress *stage.Progress `json:"progress,omitempty"`
	Warning  string          `json:"warning,omitempty"`
	Result   *stage.Result   `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// Run implements [exec.Runner].
func (p Process) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	file, err := os.CreateTemp("", "distillflow-task-*.json")
	if err != nil {
		return stage.Result{}, fmt.Errorf("writing the task: %w", err)
	}
	defer os.Remove(file.Name())
	err = json.NewEncoder(file).Encode(t)
	if err = errors.Join(err, file.Close()); err != nil {
		return stage.Result{}, fmt.Errorf("writing the task: %w", err)
	}
	cmd := osexec.CommandContext(ctx, p.Argv[0], append(p.Argv[1:], file.Name())...)
	cmd.Env = p.Env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return stage.Result{}, err
	}
	if err := cmd.Start(); err != nil {
		return stage.Result{}, fmt.Errorf("starting a worker: %w", err)
	}
	last, readErr := relay(out, h)
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return stage.Result{}, ctx.Err()
	case last.Error != "":
		return stage.Result{}, errors.New(last.Error)
	case last.Result == nil:
		return stage.Result{}, fmt.Errorf("the worker ended without a result: %w\n%s", errors.Join(waitErr, readErr), stderr.Bytes())
	}
	return *last.Result, nil
}

func relay(r io.Reader, h exec.Hooks) (last message, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var m message
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			return last, fmt.Errorf("the worker wrote a line that is no message: %w", err)
		}
		switch {
		case m.Progress != nil && h.Progress != nil:
			h.Progress(*m.Progress)
		case m.Warning != "" && h.Warn != nil:
			h.Warn(m.Warning)
		case m.Result != nil || m.Error != "":
			last = m
		}
	}
	return last, sc.Err()
}

// Worker runs the task in a file and writes messages to w, for [Process]. The
// returned error is the task's.
func Worker(ctx context.Context, taskFile string, reg *stage.Registry, svc stage.Services, w io.Writer) error {
	b, err := os.ReadFile(taskFile)
	if err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	var t stage.Task
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("task %s: %w", taskFile, err)
	}
	send := newSender(w)
	svc.Progress = func(p stage.Progress) { send(message{Progress: &p}) }
	svc.Warn = func(m string) { send(message{Warning: m}) }
	res, err := reg.Run(ctx, t, svc)
	if err != nil {
		send(message{Error: err.Error()})
		return err
	}
	send(message{Result: &res})
	return nil
}
