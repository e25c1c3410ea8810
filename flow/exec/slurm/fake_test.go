//go:build unix

package slurm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// The double of Slurm's commands: this test binary under their names, on the PATH. Its
// controller is a file, its nodes are processes of this machine. What it says is what
// Slurm 22.05 says; slurm_test.go runs the same tests on a real cluster.

const (
	fakeDir  = "DISTILLFLOW_TEST_FAKE_SLURM"  // its folder
	fakeNode = "DISTILLFLOW_TEST_FAKE_SLURMD" // the job that this process is the node of
)

type fakeJob struct {
	ID, Base, Index int
	Array           bool
	Name            string
	State           state
	Reason          string
	Code, Signal    int
	Group           int // process group of the script
	Script          string
	Argv            []string
	Restarts        int
}

func (j *fakeJob) id() string {
	if j.Array {
		return fmt.Sprintf("%d_%d", j.Base, j.Index)
	}
	return strconv.Itoa(j.Base)
}

// fakeState is what the double's controller knows.
type fakeState struct {
	Jobs       []*fakeJob
	Submitted  int               // calls of sbatch that it took
	Faults     map[string]string // command -> what it says instead of working
	Calls      map[string]int    // command -> how often it was called
	Hold       bool              // jobs stay pending
	Hide       bool              // jobs are not listed
	Slow       bool              // sbatch takes its time to answer
	Accounting bool
	Nodes      int // processes of nodes at work
}

// update changes the state under a lock.
func update(dir string, f func(*fakeState)) {
	l := flock.New(filepath.Join(dir, "lock"))
	if err := l.Lock(); err != nil {
		panic(err)
	}
	defer l.Close()
	var s fakeState
	path := filepath.Join(dir, "state.json")
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &s); err != nil {
			panic(err)
		}
	}
	f(&s)
	b, err := json.Marshal(s)
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o644, atomicfile.Relaxed, b) // commands may be killed at any moment
	}
	if err != nil {
		panic(err)
	}
}

// fakeCommand runs one of Slurm's commands, if this process is one.
func fakeCommand() (is bool) {
	dir := os.Getenv(fakeDir)
	if id := os.Getenv(fakeNode); id != "" {
		n, _ := strconv.Atoi(id)
		slurmd(dir, n)
		return true
	}
	name := filepath.Base(os.Args[0])
	run, ok := map[string]func(string, *fakeState, []string) string{
		"sbatch": sbatch, "squeue": squeue, "scontrol": scontrol, "scancel": fakeScancel, "sacct": sacct,
		"sinfo": func(string, *fakeState, []string) string { return "gpu:a100:4\n(null)\n" }}[name]
	if !ok {
		return false
	}
	var fault, out string
	slow := false
	update(dir, func(s *fakeState) {
		if s.Calls == nil {
			s.Calls = map[string]int{}
		}
		s.Calls[name]++
		if fault = s.Faults[name]; fault == "" && len(os.Args) > 1 {
			fault = s.Faults[name+" "+os.Args[1]]
		}
		if fault == "" || strings.HasPrefix(fault, "taken:") {
			out = run(dir, s, os.Args[1:])
		}
		slow = s.Slow && name == "sbatch"
	})
	if slow {
		time.Sleep(300 * time.Millisecond)
	}
	if fault != "" || strings.HasPrefix(out, "error") {
		fmt.Fprintln(os.Stderr, name+": "+strings.TrimPrefix(fault, "taken:")+out)
		os.Exit(1)
	}
	fmt.Print(out)
	return true
}

func sbatch(dir string, s *fakeState, argv []string) string {
	if argv[0] == "--version" {
		return "slurm 22.05.8\n"
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil || !strings.HasPrefix(string(text), "#!") {
		return "error: This does not look like a batch script."
	}
	s.Submitted++
	base, last, array := len(s.Jobs)+1, 0, false
	var name string
	for _, a := range argv {
		if v, ok := strings.CutPrefix(a, "--job-name="); ok {
			name = v
		}
		if v, ok := strings.CutPrefix(a, "--array=0-"); ok {
			last, _ = strconv.Atoi(v)
			array = true
		}
	}
	script := filepath.Join(dir, name+".sh")
	if err := os.WriteFile(script, text, 0o755); err != nil {
		return "error: " + err.Error()
	}
	for i := range last + 1 {
		j := &fakeJob{ID: len(s.Jobs) + 1, Base: base, Index: i, Array: array, Name: name, State: "PENDING", Reason: "Resources", Script: script, Argv: argv}
		s.Jobs = append(s.Jobs, j)
		if !s.Hold {
			startJob(s, j)
		}
	}
	return strconv.Itoa(base) + "\n"
}

// startJob starts a job's node, which sets the state.
func startJob(s *fakeState, j *fakeJob) {
	j.State, j.Reason = "CONFIGURING", "None"
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fakeNode+"="+strconv.Itoa(j.ID))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_ = cmd.Process.Release()
	s.Nodes++
}

// slurmd runs a job's script and notes its end.
func slurmd(dir string, id int) {
	var cmd *osexec.Cmd
	restart := 0
	update(dir, func(s *fakeState) {
		j := s.Jobs[id-1]
		if j.State != "CONFIGURING" {
			s.Nodes--
			return
		}
		cmd = osexec.Command("sh", j.Script)
		cmd.Env = append(os.Environ(), fakeNode+"=", "SLURM_JOB_ID="+strconv.Itoa(j.ID), "SLURM_CPUS_PER_TASK=1")
		if j.Restarts > 0 {
			cmd.Env = append(cmd.Env, "SLURM_RESTART_COUNT="+strconv.Itoa(j.Restarts))
		}
		if j.Array {
			cmd.Env = append(cmd.Env, "SLURM_ARRAY_TASK_ID="+strconv.Itoa(j.Index))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		j.State, j.Group, restart = "RUNNING", cmd.Process.Pid, j.Restarts
	})
	if cmd == nil {
		return
	}
	err := cmd.Wait()
	update(dir, func(s *fakeState) {
		s.Nodes--
		j := s.Jobs[id-1]
		if j.State != "RUNNING" || j.Restarts != restart {
			return // somebody ended it
		}
		j.State = "COMPLETED"
		var exit *osexec.ExitError
		if errors.As(err, &exit) {
			j.State, j.Reason, j.Code = "FAILED", "NonZeroExitCode", exit.ExitCode()
			if w := exit.Sys().(syscall.WaitStatus); w.Signaled() {
				j.Code, j.Signal, j.Reason = 0, int(w.Signal()), "RaisedSignal:"+strconv.Itoa(int(w.Signal()))
			}
		}
	})
}

func squeue(_ string, s *fakeState, _ []string) string {
	var b strings.Builder
	for _, j := range s.Jobs {
		if j.State != "" && !s.Hide { // forgotten
			fmt.Fprintf(&b, "%s|%s|%s|%s|fake1\n", j.id(), j.Name, j.State, j.Reason)
		}
	}
	fmt.Fprintf(&b, "77|strange|name|PENDING|Priority|\n88_[3-9]|other|PENDING|Priority|\n")
	return b.String()
}

func scontrol(_ string, s *fakeState, argv []string) string {
	if strings.Join(argv, " ") == "show config" {
		return "Configuration data as of now\nMaxArraySize            = 4\nMinJobAge               = 300 sec\n"
	}
	for _, j := range s.Jobs {
		if j.id() == argv[len(argv)-1] && j.State != "" {
			return fmt.Sprintf("JobId=%d JobName=%s JobState=%s Reason=%s Requeue=1 Restarts=%d ExitCode=%d:%d RunTime=00:01:00 TimeLimit=00:01:00 NodeList=fake1 MinMemoryNode=2000M\n",
				j.ID, j.Name, j.State, j.Reason, j.Restarts, j.Code, j.Signal)
		}
	}
	return "error: slurm_load_jobs error: Invalid job id specified"
}

func fakeScancel(_ string, s *fakeState, argv []string) string {
	for _, j := range s.Jobs {
		for _, id := range argv {
			if (j.id() == id || strconv.Itoa(j.Base) == id) && j.State != "" && !j.State.ended() {
				if j.Array && j.State == "PENDING" {
					j.State = "" // Slurm forgets such elements at once
					continue
				}
				j.State, j.Reason = "CANCELLED", "None"
				j.kill(syscall.SIGKILL)
			}
		}
	}
	return ""
}

func sacct(_ string, s *fakeState, argv []string) string {
	if !s.Accounting {
		return "error: Slurm accounting storage is disabled"
	}
	for _, j := range s.Jobs {
		for _, a := range argv {
			if a == j.id() {
				return "OUT_OF_MEMORY|0:125|00:01:00|00:10:00|fake1\n"
			}
		}
	}
	return ""
}

// kill signals all processes of a job.
func (j *fakeJob) kill(sig syscall.Signal) {
	if j.Group > 0 {
		_ = syscall.Kill(-j.Group, sig)
	}
}

// fake is a double that one test has to itself.
type fake struct {
	t   *testing.T
	dir string
}

// newFake puts the double on the PATH.
func newFake(t *testing.T) fake {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sbatch", "squeue", "scontrol", "scancel", "sacct", "sinfo"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(fakeDir, dir)
	f := fake{t, dir}
	t.Cleanup(func() {
		update(dir, func(s *fakeState) {
			for _, j := range s.Jobs {
				if !j.State.ended() {
					j.kill(syscall.SIGKILL)
					j.State = "CANCELLED"
				}
			}
		})
		eventually(t, "the nodes are idle", func() (idle bool) {
			update(dir, func(s *fakeState) { idle = s.Nodes == 0 })
			return idle
		})
	})
	return f
}

func (f fake) update(change func(*fakeState)) { update(f.dir, change) }

// job gives the state of a job, by its number.
func (f fake) job(id int) (j fakeJob) {
	f.update(func(s *fakeState) {
		if id <= len(s.Jobs) {
			j = *s.Jobs[id-1]
		}
	})
	return j
}

func (f fake) submitted() (n int) {
	f.update(func(s *fakeState) { n = s.Submitted })
	return n
}

func (f fake) calls(command string) (n int) {
	f.update(func(s *fakeState) { n = s.Calls[command] })
	return n
}

// fault lets a command fail; "" lets it work again.
func (f fake) fault(command, says string) {
	f.update(func(s *fakeState) {
		if s.Faults == nil {
			s.Faults = map[string]string{}
		}
		s.Faults[command] = says
	})
}

// end ends a job as Slurm would.
func (f fake) end(id int, to state, code, signal int) {
	f.update(func(s *fakeState) {
		j := s.Jobs[id-1]
		j.kill(syscall.SIGKILL)
		j.State, j.Code, j.Signal = to, code, signal
	})
}

// requeue ends a job and starts it again later.
func (f fake) requeue(id int) {
	f.update(func(s *fakeState) {
		j := s.Jobs[id-1]
		j.kill(syscall.SIGKILL)
		j.State, j.Reason, j.Restarts = "PENDING", "BeginTime", j.Restarts+1
	})
	time.Sleep(100 * time.Millisecond)
	f.update(func(s *fakeState) { startJob(s, s.Jobs[id-1]) })
}

// tell tells the script of a job that its time is almost up, as --signal=B:TERM does.
func (j *fakeJob) tell() { _ = syscall.Kill(j.Group, syscall.SIGTERM) }
