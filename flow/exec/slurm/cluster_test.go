//go:build unix

package slurm

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/exectest"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// slurmDo runs a command of the cluster's administrator.
func slurmDo(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := osexec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The states of TestInterruptions and TestEnds, on a real cluster as tools/slurm/up.sh
// starts it. It takes minutes: Slurm lets requeued jobs wait, and looks at times seldom.
func TestStatesOnCluster(t *testing.T) {
	realCluster(t)
	s := quick()
	s.Poll, s.Lag, s.Memory = time.Second, 5*time.Second, "500MB"
	jobOf := func(t *testing.T, h *told) (id, node string) {
		t.Helper()
		eventually(t, "it runs", func() bool { return h.has(" runs on n") })
		for _, l := range h.lines {
			if f := strings.Fields(l); len(f) == 5 && f[2] == "runs" {
				return f[1], f[4]
			}
		}
		return "", ""
	}
	// leaves waits until a job no longer runs, and its processes are gone.
	leaves := func(t *testing.T, id string) {
		eventually(t, "the job leaves its node", func() bool { return slurmDo(t, "squeue", "-h", "-t", "all", "-j", id, "-o", "%T") == "PENDING" })
	}
	again := map[string]int{"requeued": 2, "node down": 2, "preempted": 2}
	for name, interrupt := range map[string]func(t *testing.T, id, node string){
		"requeued": func(t *testing.T, id, _ string) {
			slurmDo(t, "scontrol", "requeue", id)
			leaves(t, id)
		},
		"node down": func(t *testing.T, id, node string) {
			slurmDo(t, "scontrol", "update", "NodeName="+node, "State=DOWN", "Reason=test")
			leaves(t, id)
			_ = osexec.Command("scontrol", "update", "NodeName="+node, "State=RESUME").Run() // it may be back by itself
		},
		"preempted": func(t *testing.T, id, _ string) {
			slurmDo(t, "sbatch", "-p", "urgent", "-N", "2", "--mem=100M", "-o", "/dev/null", "--wrap", "sleep 3")
			leaves(t, id)
		},
		"controller down for a minute": func(t *testing.T, _, _ string) {
			pid, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("SLURM_CONF")), "run", "slurmctld.pid"))
			if err != nil {
				t.Fatal(err)
			}
			slurmDo(t, "kill", strings.TrimSpace(string(pid)))
			time.Sleep(time.Minute)
			slurmDo(t, "slurmctld", "-f", os.Getenv("SLURM_CONF"))
		},
		"suspended": func(t *testing.T, id, _ string) {
			slurmDo(t, "scontrol", "suspend", id)
			time.Sleep(3 * time.Second)
			slurmDo(t, "scontrol", "resume", id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			task, mark := exectest.Task(t, "wait")
			var h told
			wait := started(t, newRunner(t, s), task, mark, h.hooks())
			id, node := jobOf(t, &h)
			start := time.Now()
			interrupt(t, id, node)
			letGo(t, mark)
			res, err := wait()
			exectest.Check(t, task, res, err)
			n := exectest.Count(t, mark, "started")
			if n != max(1, again[name]) {
				t.Errorf("the stage began %d times", n)
			}
			t.Logf("it ended after %s, the stage began %d times; %q", time.Since(start).Round(time.Second), n, h.lines)
		})
	}
	for name, c := range map[string]struct {
		act     string
		time    time.Duration
		of      exec.Shortage
		message string
	}{
		"out of memory": {"grow", 0, exec.OfMemory, "memory"},
		"out of time":   {"resume", time.Minute, exec.OfTime, "came to the end of its time"},
		"a crash":       {"exit", 0, "", "exit status 17"},
	} {
		t.Run(name, func(t *testing.T) {
			task, _ := exectest.Task(t, c.act)
			s := s
			s.Time = c.time
			r := newRunner(t, s)
			_, err := r.Run(t.Context(), task, exec.Hooks{})
			var short *exec.ShortageError
			if errors.As(err, &short) != (c.of != "") || c.of != "" && short.Of != c.of || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("%#v", err)
			}
			t.Log(err)
			if c.act == "resume" {
				res, err := r.Run(t.Context(), task, exec.Hooks{})
				exectest.Check(t, task, res, err)
			}
		})
	}
	t.Run("nothing is left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newRunner(t, s)
		var g parallel.Group
		for range 5 { // two run, three wait
			task, _ := exectest.Task(t, "alive")
			g.Go(func() error { _, err := r.Run(ctx, task, exec.Hooks{}); return err })
		}
		eventually(t, "the queue is empty", func() bool { return slurmDo(t, "squeue", "-h", "-r") == "" })
		eventually(t, "five are in the queue", func() bool { return strings.Count(slurmDo(t, "squeue", "-h", "-r", "-o", "%i"), "\n") == 4 })
		cancel()
		if err := g.Wait(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if left := slurmDo(t, "squeue", "-h", "-r"); left != "" {
			t.Error(left)
		}
	})
}
