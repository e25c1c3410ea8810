//go:build unix

package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		settings Settings
		prepare  func(f fake)
		want     map[string]string // of what is found, with its verdict; others are true
	}{
		"all is well": {Settings{}, func(fake) {}, map[string]string{
			"queue": "true slurm 22.05.8, squeue answers", "array": "true 2 of 2 elements ran", "shared folder": "true", "clock": "true at least 0s apart",
			"program": "true", "GPUs": "true none asked for; the cluster has (null), gpu:a100:4", "accounting": "true none (sacct: error: Slurm accounting storage is disabled)"}},
		"no GPU": {Settings{Job: Job{GPUs: 1}}, func(fake) {}, map[string]string{"GPUs": "false 1 asked for, and the job has no CUDA_VISIBLE_DEVICES"}},
		"the program is not there": {Settings{Binary: "/nowhere/distillflow"}, func(fake) {}, map[string]string{
			"worker": "false the job ended (FAILED, exit status 127"}},
		"refused": {Settings{}, func(f fake) { f.fault("sbatch --parsable", "error: Invalid account") }, map[string]string{
			"submission": "false sbatch: error: Invalid account"}},
		"a node without the folder": {Settings{}, func(f fake) {
			f.update(func(s *fakeState) { s.Hold = true })
			parallel.Start(func() error {
				for len(f.jobs()) < 2 {
					time.Sleep(10 * time.Millisecond)
				}
				f.end(1, "FAILED", noFolder, 0)
				f.end(2, "FAILED", noFolder, 0)
				return nil
			})
		}, map[string]string{"worker": "false fake1 does not see"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CUDA_VISIBLE_DEVICES", "")
			f := newFake(t)
			c.prepare(f)
			c.settings.Poll, c.settings.Lag = 50*time.Millisecond, 500*time.Millisecond
			r, err := New(c.settings, Host{Version: "test"})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			found, err := r.Check(t.Context(), dir, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, x := range found {
				got[x.What] = fmt.Sprint(x.OK, " ", x.Found)
				if !x.OK && x.Do == "" {
					t.Errorf("%s: what to do?", x.What)
				}
			}
			for what, want := range c.want {
				if !strings.HasPrefix(got[what], want) {
					t.Errorf("%s: %q, want %q", what, got[what], want)
				}
			}
			for what, is := range got {
				if _, named := c.want[what]; !named && !strings.HasPrefix(is, "true") {
					t.Errorf("%s: %s", what, is)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// A job that somebody does not wait for is taken back, at whatever moment that is.
func TestCheckWaits(t *testing.T) {
	for name, slow := range map[string]bool{"in the queue": false, "while it is submitted": true} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.update(func(s *fakeState) { s.Hold, s.Slow = true, slow })
			r, dir := newRunner(t, quick()), t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := parallel.Start(func() error {
				_, err := r.Check(ctx, dir, func(string) {})
				return err
			})
			eventually(t, "Slurm has the job", func() bool { return len(f.jobs()) == 2 })
			cancel()
			if err := ended(); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			for _, j := range f.jobs() {
				if j.State != "CANCELLED" && j.State != "" {
					t.Errorf("%s is %s", j.id(), j.State)
				}
			}
		})
	}
}
