//go:build !unix

package data

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// runGroup runs a command. Systems without process groups end the command itself
// only, and at once.
func runGroup(ctx context.Context, cmd *exec.Cmd, _ time.Duration, killed func()) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	done := make(chan error, 1)
	parallel.Start(func() error { done <- parallel.Call(cmd.Wait); return nil })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	_ = cmd.Process.Kill()
	err := <-done
	killed()
	return err
}
