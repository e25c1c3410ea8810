package slurm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
)

const (
	minAbsent = 3        // good queries that do not list a job, before it counts as gone
	logTail   = 20       // lines of a worker's log in an error
	tailBytes = 16 << 10 // of the log that are read for them
)

// stuck are reasons for which a job never starts by itself.
var stuck = map[string]bool{
	"JobHeldUser": true, "JobHeldAdmin": true, "PartitionTimeLimit": true, "PartitionNodeLimit": true, "BadConstraints": true,
	"AccountNotAllowed": true, "QOSNotAllowed": true, "InvalidAccount": true, "InvalidQOS": true,
}

// judge decides whether a task without a result has ended, and gives the error that
// explains it.
func (r *Runner) judge(ctx context.Context, e *element) (over bool, err error) {
	r.mu.Lock()
	s := *e
	r.mu.Unlock()
	switch {
	case s.err != nil:
		return true, s.err
	case !s.submitted:
		return false, nil
	case s.absent == 0 && s.row.State == "": // not looked for yet
		return false, nil
	case s.absent > 0 && s.row.State == "" && s.attached && s.intent.Job == "":
		// An earlier run was killed between its word and its deed.
		if time.Since(s.intent.At) < settle+r.s.Poll {
			return false, nil
		}
		return true, &goneError{"job " + s.intent.Name + " of an earlier run is not in Slurm's queue"}
	case s.absent > 0:
		// Slurm forgets jobs some minutes after they ended, and may list none while it
		// starts.
		if s.absent < minAbsent || time.Since(s.absentAt) < r.s.Lag {
			return false, nil
		}
	case s.row.State.interrupted():
		if time.Since(s.stateAt) < r.s.Lag {
			return false, nil
		}
	case s.row.State.ended():
		// The job's own word comes after its result, so with it nothing can be late.
		if _, said := readEnd(e.folder, s.intent.Name); !said && time.Since(s.stateAt) < r.s.Lag {
			return false, nil
		}
	default:
		if stuck[s.row.Reason] && s.row.State == "PENDING" {
			r.mu.Lock()
			first := !e.held
			e.held = true
			r.mu.Unlock()
			if first {
				e.warn(fmt.Sprintf("job %s does not start by itself: Slurm says %s; look at the settings of the executor, or release it with scontrol release %s", s.row.ID, s.row.Reason, s.row.ID))
			}
		}
		return false, nil
	}
	id := cmp.Or(s.intent.id(), s.row.ID)
	f, known, err := describe(ctx, id)
	switch {
	case err != nil:
		return false, nil
	case known && !f.State.ended() && !f.State.interrupted(): // the list was wrong, or is old by now
		r.mu.Lock()
		e.absent = 0
		r.mu.Unlock()
		return false, nil
	case !known:
		f.Node = s.row.Node
		if s.absent == 0 { // else its last state is an old one
			f.State, f.Reason = s.row.State, s.row.Reason
		}
	}
	return true, s.explain(id, f)
}

// explain says why a job left no result.
func (e *element) explain(id string, f facts) error {
	said, has := readEnd(e.folder, e.intent.Name)
	if has {
		f.exit(fmt.Sprintf("%d:%d", said.Code, f.Signal))
	}
	where := "job " + id
	if f.Node != "" && f.Node != "(null)" {
		where += " on " + f.Node
	}
	if e.attached {
		return &goneError{fmt.Sprintf("%s of an earlier run ended without a result (%s)", where, cmp.Or(string(f.State), "Slurm knows it no more"))}
	}
	memory := "the memory it was given"
	if e.req.had.Memory > 0 {
		memory = fmt.Sprintf("the %d MiB of memory it was given", e.req.had.Memory>>20)
	} else if f.Memry != "" {
		memory = "the " + f.Memry + " of memory that the cluster gives by default"
	}
	const moreMemory = ": raise the stage's resources: {memory: ...}, or memory in the executor's settings"
	const moreTime = ": raise the stage's timeout:, or time in the executor's settings"
	had := e.req.had
	if had.Memory == 0 {
		had.Memory = bytesOf(f.Memry)
	}
	switch {
	case f.State.interrupted():
		return &goneError{fmt.Sprintf("%s ended (%s) and Slurm does not queue it again", where, f.State)}
	case f.State == "OUT_OF_MEMORY":
		return &exec.ShortageError{Of: exec.OfMemory, Had: had, Msg: where + " took more than " + memory + moreMemory}
	case f.State == "TIMEOUT" || has && said.Told && f.State != "CANCELLED":
		limit := cmp.Or(strings.Trim(f.Limit, " "), "its limit")
		return &exec.ShortageError{Of: exec.OfTime, Had: had, Msg: fmt.Sprintf("%s came to the end of its time, %s, before the stage did; another try goes on from what is saved%s", where, limit, moreTime)}
	case f.Signal == 9 && (f.State == "FAILED" || f.State == ""):
		return &exec.ShortageError{Of: exec.OfMemory, Had: had, Msg: fmt.Sprintf("%s was killed by signal 9, as jobs are that take more than they may: probably more than %s%s", where, memory, moreMemory) + e.tail()}
	}
	msg := where
	switch {
	case has && f.Code == noFolder, !has && f.State == "FAILED" && f.Code == noFolder:
		msg += fmt.Sprintf(" did not see the folder %s: the store must lie on a file system that all nodes share; `distillflow executor test` looks at it", e.folder)
	case f.State == "" && !has:
		msg += " is no longer in Slurm's queue and left no result"
	case f.State == "CANCELLED":
		msg += " was cancelled by somebody else"
	default:
		msg += fmt.Sprintf(" ended without a result (%s, exit status %d", cmp.Or(f.State, "forgotten by Slurm"), f.Code)
		if f.Signal > 0 {
			msg += fmt.Sprintf(", signal %d", f.Signal)
		}
		if f.Reason != "" && f.Reason != "None" {
			msg += ", " + f.Reason
		}
		msg += ")"
	}
	return &job.Error{Msg: msg + e.tail(), ExitCode: f.Code}
}

// bytesOf reads an amount of memory as Slurm prints it; 0 if it does not.
func bytesOf(s string) int64 {
	var n float64
	var unit string
	if k, _ := fmt.Sscanf(s, "%f%s", &n, &unit); k == 0 {
		return 0
	}
	switch unit {
	case "K":
		n *= 1 << 10
	case "G":
		n *= 1 << 30
	case "T":
		n *= 1 << 40
	default: // M, or none
		n *= 1 << 20
	}
	if !(n > 0 && n < 1<<62) {
		return 0
	}
	return int64(n)
}

// tail gives the last lines of the worker's log, and where it is.
func (e *element) tail() string {
	path := e.folder.File(logFile)
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, tailBytes))
	lines := bytes.Split(bytes.TrimRight(b, "\n"), []byte("\n"))
	if lines = lines[max(0, len(lines)-logTail):]; bytes.HasPrefix(lines[len(lines)-1], []byte(logHead)) {
		return "" // the worker wrote nothing
	}
	return fmt.Sprintf("\n%s ends:\n%s", path, bytes.Join(lines, []byte("\n")))
}
