//go:build unix

package slurm

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/exectest"
)

func TestMain(m *testing.M) {
	if fakeCommand() {
		return
	}
	window, fileEvery, settle = 200*time.Millisecond, 20*time.Millisecond, 500*time.Millisecond
	if code, is := exectest.Program(os.Exit, func() (exec.Runner, error) { return New(quick(), Host{}) }); is {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}

// quick are settings for tests.
func quick() Settings { return Settings{Poll: 100 * time.Millisecond, Lag: 500 * time.Millisecond} }

func newRunner(t *testing.T, s Settings) *Runner {
	t.Helper()
	r, err := New(s, Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "the watcher ends", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.watching })
	})
	return r
}

// logPattern is what is told of a job at work.
const logPattern = `^job \d+ on [^ ]+; until it is done its worker's log is (/.*/worker\.log)$`

func TestSuite(t *testing.T) {
	exectest.Suite{Elsewhere: true, Coordinator: true, Log: logPattern, New: func(t *testing.T) exec.Runner {
		if os.Getenv(fakeDir) == "" {
			newFake(t)
		}
		return newRunner(t, quick())
	}}.Run(t)
}

// clusterVar says that Slurm's commands on the PATH are a real cluster's that this
// machine shares its files with, such as the one of tools/slurm/up.sh.
const clusterVar = "DISTILLFLOW_TEST_SLURM"

func realCluster(t *testing.T) {
	t.Helper()
	if os.Getenv(clusterVar) == "" {
		t.Skip("set " + clusterVar + "=1 where there is a cluster; tools/slurm/up.sh starts one")
	}
}

func TestSuiteOnCluster(t *testing.T) {
	realCluster(t)
	s := quick()
	s.Memory = "500MB"
	exectest.Suite{Elsewhere: true, Coordinator: true, Log: logPattern, Patience: time.Minute, New: func(t *testing.T) exec.Runner {
		return newRunner(t, s)
	}}.Run(t)
}
