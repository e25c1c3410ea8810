package slurm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// clockLimit is how far the clocks of a node and of this machine may be apart: beyond
// it the times in logs mislead, and tools such as make do so, too.
const clockLimit = 5 * time.Second

// Check implements [exec.Checker]: it submits an array of two jobs that do nothing but
// look around.
func (r *Runner) Check(ctx context.Context, dir string, tell func(string)) (found []exec.Check, err error) {
	add := func(what string, ok bool, is, do string) {
		found = append(found, exec.Check{What: what, OK: ok, Found: is, Do: do})
	}
	version, err := command(ctx, "", "sbatch", "--version")
	if err != nil {
		return nil, err
	}
	at := time.Now()
	if _, err := queue(ctx); err != nil {
		add("queue", false, err.Error(), "squeue must work here")
	} else {
		add("queue", true, fmt.Sprintf("%s, squeue answers in %s", strings.TrimSpace(version), time.Since(at).Round(time.Millisecond)), "")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return found, err
	}
	if dir, err = os.MkdirTemp(dir, "executor-test-"); err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	req := r.s.request(stage.Task{Stage: "executor-test", Type: "executor-test"})
	req.serve.Command = ""
	in := intent{Name: newName(), At: time.Now().UTC(), Array: true}
	most := config(ctx, "MaxArraySize", defaultArray)
	folders := make([]job.Folder, 2)
	for i := range folders {
		folders[i] = job.Folder(filepath.Join(dir, strconv.Itoa(i)))
		in.Index = i
		if err := errors.Join(folders[i].Ask(in.Name), in.write(folders[i], atomicfile.Durable)); err != nil {
			return found, err
		}
	}
	argv := append([]string{"--parsable", "--job-name=" + in.Name, "--output=/dev/null", "--error=/dev/null", "--array=0-1"}, req.argv...)
	began := time.Now()
	// Not to be interrupted: a job that Slurm has must become known.
	out, err := command(context.WithoutCancel(ctx), script(in.Name, r.binary, "worker --probe", req, folders), "sbatch", argv...)
	if err != nil {
		add("submission", false, err.Error(), "the settings of the executor are what sbatch gets: "+strings.Join(req.argv, " "))
		return found, nil
	}
	in.Job, _, _ = strings.Cut(strings.TrimSpace(out), ";")
	add("submission", true, fmt.Sprintf("job %s, with %s", in.Job, strings.Join(req.argv, " ")), "")
	tell("job " + in.Job + " is in the queue")
	answers, over, err := r.answers(ctx, in, folders, tell)
	if err != nil {
		_, cerr := command(context.WithoutCancel(ctx), "", "scancel", in.Job)
		return found, errors.Join(err, cerr)
	}
	in.Index = 0
	f, known, _ := describe(ctx, in.id())
	if len(answers) == 0 {
		why, do := "the jobs ended without an answer", "see the table in docs/clusters.md"
		switch {
		case !over:
			why = "no job ran in time"
		case known && f.Code == noFolder:
			why, do = fmt.Sprintf("%s does not see %s", f.Node, dir), "the store must lie on a file system that all nodes share, under the same path: --store"
		case known:
			why = fmt.Sprintf("the job ended (%s, exit status %d, %s)", f.State, f.Code, f.Reason)
			do = "exit status 127 or 126: the program is not there or does not run on the node; name another with binary. " + do
		}
		if b, err := os.ReadFile(folders[0].File(logFile)); err == nil {
			why += "; its log: " + strings.Join(strings.Fields(string(b)), " ")
		}
		add("worker", false, why, do)
		_, _ = command(ctx, "", "scancel", in.Job) // they have ended, or soon will
		return found, nil
	}
	var hosts []string
	for _, p := range answers {
		hosts = append(hosts, p.Host)
	}
	p := answers[0]
	add("array", len(answers) == 2, fmt.Sprintf("%d of 2 elements ran, on %s; at most %d an array", len(answers), strings.Join(hosts, ", "), most), "")
	add("shared folder", p.Word == in.Name, fmt.Sprintf("%s; a node's file shows here %s", dir, latency(p.seen.Sub(p.Time))), "")
	same := p.Version == r.host.Version
	do := ""
	if !same {
		do = "the node must run the same program: name it with binary"
	}
	add("program", same, fmt.Sprintf("%s is %s there, %s here", r.binary, p.Version, r.host.Version), do)
	off := max(began.Sub(p.Time), p.Time.Sub(p.seen), 0)
	do = ""
	if off > clockLimit {
		do = "let the clocks be set by NTP; results do not depend on it, times in logs do"
	}
	add("clock", off <= clockLimit, fmt.Sprintf("at least %s apart", off.Round(time.Millisecond)), do)
	gpus(ctx, req, p.Probe, add)
	add("cores and time", true, fmt.Sprintf("%d threads; the job may run for %s", p.Threads, cmp.Or(f.Limit, "an unknown time")), "")
	if _, err := command(ctx, "", "sacct", "-n", "-P", "-X", "-j", in.Job, "-o", "State"); err != nil {
		add("accounting", true, "none ("+err.Error()+"): what Slurm forgets after some minutes cannot be explained later, nothing else needs it", "")
	} else {
		add("accounting", true, "sacct works", "")
	}
	return found, nil
}

func latency(d time.Duration) string {
	if d < 0 {
		return "at once"
	}
	return "after " + d.Round(10*time.Millisecond).String() + " at most"
}

// gpus says whether the job has the GPUs it asked for.
func gpus(ctx context.Context, req request, p job.Probe, add func(what string, ok bool, is, do string)) {
	all, _ := command(ctx, "", "sinfo", "-h", "-o", "%G")
	kinds := strings.Fields(all)
	slices.Sort(kinds)
	cluster := "the cluster has " + cmp.Or(strings.Join(slices.Compact(kinds), ", "), "no list of them")
	switch {
	case req.had.GPUs == 0:
		add("GPUs", true, "none asked for; "+cluster, "")
	case p.GPUs == "":
		add("GPUs", false, fmt.Sprintf("%d asked for, and the job has no %s; %s", req.had.GPUs, stage.VisibleGPUs, cluster), "ask the administrators: gres.conf names no device files, or the type of GPU")
	default:
		add("GPUs", true, fmt.Sprintf("%s=%s; %s", stage.VisibleGPUs, p.GPUs, cluster), "")
	}
}

// answer is a probe, and when it showed here.
type answer struct {
	job.Probe
	seen time.Time
}

// answers waits for those of the jobs. over reports that the jobs have ended.
func (r *Runner) answers(ctx context.Context, in intent, folders []job.Folder, tell func(string)) (all []answer, over bool, err error) {
	var shown string
	var next, ended time.Time
	seen := make([]time.Time, len(folders))
	for {
		all = nil
		for i, f := range folders {
			if p, ok := f.Answered(); ok {
				if seen[i].IsZero() {
					seen[i] = time.Now()
				}
				all = append(all, answer{p, seen[i]})
			}
		}
		if len(all) == len(folders) || !ended.IsZero() && time.Since(ended) > r.s.Lag {
			return all, !ended.IsZero(), nil
		}
		if time.Now().After(next) {
			next = time.Now().Add(min(r.s.Poll, 3*time.Second))
			if rows, err := queue(ctx); err == nil {
				var states []string
				left := false
				for _, row := range rows {
					if row.Name == in.Name {
						states = append(states, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", row.ID, row.State, row.Reason), ": None"))
						left = left || !row.State.ended() && !row.State.interrupted()
					}
				}
				if s := strings.Join(states, ", "); s != shown {
					shown = s
					tell(s)
				}
				if left {
					ended = time.Time{}
				} else if ended.IsZero() {
					ended = time.Now()
				}
			}
		}
		select {
		case <-ctx.Done():
			return all, false, context.Cause(ctx)
		case <-time.After(min(fileEvery, 100*time.Millisecond)):
		}
	}
}
