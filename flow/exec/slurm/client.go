package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// commandTime is how long a command of Slurm may take. The controller's own patience is
// about a minute.
const commandTime = 2 * time.Minute

// command runs one of Slurm's commands. Its flags are the oldest that do the work.
func command(ctx context.Context, stdin string, name string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := osexec.CommandContext(ctx, name, argv...)
	cmd.Env = environment(os.Environ())
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return "", fmt.Errorf("%s: %s", name, strings.TrimPrefix(said, name+": "))
		}
		if errors.Is(err, osexec.ErrNotFound) {
			return "", fmt.Errorf("%s: there is no such command here: is this a login node of the cluster? %w", name, err)
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return out.String(), nil
}

// environment is what Slurm's commands get, and jobs by them: without what belongs to the
// job that this process may itself be part of, and without the user's taste for lists.
func environment(all []string) []string {
	return slices.DeleteFunc(all, func(v string) bool {
		return strings.HasPrefix(v, "SLURM_") && !strings.HasPrefix(v, "SLURM_CONF=") || strings.HasPrefix(v, "SQUEUE_")
	})
}

// A state is what Slurm says of a job.
type state string

// ended reports states that a job does not leave. PREEMPTED, NODE_FAIL and BOOT_FAIL are
// none: such a job usually goes back to the queue.
func (s state) ended() bool {
	switch s {
	case "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "REVOKED":
		return true
	}
	return false
}

// interrupted reports states of a job that ended by no fault of its own and should come
// back; where the cluster does not requeue, it never does.
func (s state) interrupted() bool { return s == "PREEMPTED" || s == "NODE_FAIL" || s == "BOOT_FAIL" }

// row is one job, or one element of an array, in Slurm's queue.
type row struct {
	ID     string // 12, or 12_3 for an element
	Name   string
	State  state
	Reason string
	Node   string
}

// index is the element's in its array; 0 for a job of its own.
func (r row) index() int {
	_, i, _ := strings.Cut(r.ID, "_")
	n, _ := strconv.Atoi(i)
	return n
}

// queue lists all jobs of this user that Slurm still knows, also those that ended not
// long ago: one question for all. The controller finds those of a user fast.
func queue(ctx context.Context) ([]row, error) {
	out, err := command(ctx, "", "squeue", "-h", "-r", "-t", "all", "-u", strconv.Itoa(os.Getuid()), "-o", "%i|%j|%T|%r|%N")
	if err != nil {
		return nil, err
	}
	return parseQueue(out), nil
}

// parseQueue reads what squeue prints in the format of [queue].
func parseQueue(out string) []row {
	var rows []row
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) == 5 { // another's name may hold a bar
			rows = append(rows, row{f[0], f[1], state(f[2]), f[3], f[4]})
		}
	}
	return rows
}

// config gives a number of the cluster's configuration, or otherwise.
func config(ctx context.Context, name string, otherwise int) int {
	out, err := command(ctx, "", "scontrol", "show", "config")
	if err != nil {
		return otherwise
	}
	return parseConfig(out, name, otherwise)
}

// parseConfig finds a number in what scontrol prints.
func parseConfig(out, name string, otherwise int) int {
	for line := range strings.Lines(out) {
		k, v, _ := strings.Cut(line, "=")
		if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && strings.TrimSpace(k) == name {
			return n
		}
	}
	return otherwise
}

// facts is what Slurm knows of a job that has ended.
type facts struct {
	State       state
	Code        int // exit status
	Signal      int // that ended it; 0 for none
	Reason      string
	Ran, Limit  string // as Slurm prints times
	Node, Memry string
}

// describe asks for what is known of a job: of the controller while it remembers the
// job, then of the accounting, where there is one. ok is false if neither knows it; an
// error says that they could not be asked.
func describe(ctx context.Context, id string) (f facts, ok bool, err error) {
	out, err := command(ctx, "", "scontrol", "show", "job", "-o", id)
	switch {
	case err != nil && passing(err):
		return f, false, err
	case err == nil:
		if f = parseJob(out); f.State != "" {
			return f, true, nil
		}
	}
	out, err = command(ctx, "", "sacct", "-n", "-P", "-X", "-j", id, "-o", "State,ExitCode,Elapsed,Timelimit,NodeList")
	if err != nil {
		return f, false, nil // most clusters that forget a job have no accounting either
	}
	f, ok = parseAccount(out)
	return f, ok, nil
}

// parseJob reads what scontrol prints of a job.
func parseJob(out string) (f facts) {
	for _, kv := range strings.Fields(out) {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "JobState":
			f.State = state(v)
		case "ExitCode":
			f.exit(v)
		case "Reason":
			f.Reason = v
		case "RunTime":
			f.Ran = v
		case "TimeLimit":
			f.Limit = v
		case "NodeList":
			f.Node = v
		case "MinMemoryNode", "MinMemoryCPU":
			f.Memry = v
		}
	}
	return f
}

// parseAccount reads what sacct prints of a job in the format of [describe].
func parseAccount(out string) (f facts, ok bool) {
	v := strings.Split(strings.TrimSpace(out), "|")
	if len(v) != 5 {
		return f, false
	}
	s, _, _ := strings.Cut(v[0], " ") // CANCELLED by 1000
	f = facts{State: state(s), Ran: v[2], Limit: v[3], Node: v[4]}
	f.exit(v[1])
	return f, s != ""
}

// exit reads CODE:SIGNAL.
func (f *facts) exit(text string) {
	code, sig, _ := strings.Cut(text, ":")
	f.Code, _ = strconv.Atoi(code)
	f.Signal, _ = strconv.Atoi(sig)
	if f.Code > 128 && f.Signal == 0 { // as a shell reports a child that a signal ended
		f.Signal = f.Code - 128
	}
}

// passing reports whether a failed submission is to be tried again: the controller does
// not answer, or there are as many jobs as there may be. It says nothing of whether the
// job was taken.
func passing(err error) bool {
	for _, sign := range []string{
		"Unable to contact slurm controller", "Socket timed out", "Connection refused", "Connection timed out", "temporarily",
		"Zero Bytes were transmitted", "Communication connection failure", "Unexpected message", "Slurm backup controller", "in standby mode",
		"SubmitJob", "job submit limit", "Job violates accounting/QOS policy", "MaxJobCount", "context deadline exceeded", "signal: killed",
	} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}
