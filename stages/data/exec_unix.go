//go:build unix

package data

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// runGroup runs a command as the leader of a process group. When ctx is done, the
// group gets SIGTERM, and SIGKILL after grace; killed is called then. Processes
// that the command leaves behind are killed in any case: they could still write
// to outputs that are about to be sealed.
func runGroup(ctx context.Context, cmd *exec.Cmd, grace time.Duration, killed func()) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	group := -cmd.Process.Pid
	done := make(chan error, 1)
	parallel.Start(func() error { done <- parallel.Call(cmd.Wait); return nil })
	select {
	case err := <-done:
		_ = syscall.Kill(group, syscall.SIGKILL)
		return err
	case <-ctx.Done():
	}
	_ = syscall.Kill(group, syscall.SIGTERM)
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	var err error
	ended := false
	for {
		select {
		case err = <-done:
			ended, done = true, nil
		case <-poll.C:
			// The leader may go at once while its children still save their work.
			if ended && errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
				killed()
				return err
			}
		case <-deadline.C:
			_ = syscall.Kill(group, syscall.SIGKILL)
			if !ended {
				err = <-done
			}
			killed()
			return err
		}
	}
}
