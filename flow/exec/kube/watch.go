package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
)

const (
	// absentFor is how many queries in a row must not show a job before it counts as
	// deleted. Each of them has succeeded: a query that fails says nothing.
	absentFor = 3
	// podsEvery is how many polls lie between two looks at pods that wait.
	podsEvery = 6
	// slowest is the longest pause between queries that fail.
	slowest = time.Minute
)

// watch follows all open tasks until there are none: one query a poll for all jobs, and
// one for their pods where a job says that something went wrong, or now and then to tell
// what a pod waits for.
func (r *Runner) watch(ctx context.Context) {
	pause := r.settings.Poll
	for n := 0; ; n++ {
		byJob, fresh, open := r.snapshot()
		if !open {
			return
		}
		r.submit(ctx, fresh)
		if len(byJob) > 0 {
			if r.poll(ctx, byJob, n%podsEvery == podsEvery-1) {
				pause = r.settings.Poll
			} else {
				pause = min(2*pause, max(slowest, r.settings.Poll))
			}
		}
		// Not all coordinators at the same moment.
		wait := pause + time.Duration(rand.Int64N(int64(pause)/4+1))
		if len(fresh) == 0 && len(byJob) == 0 {
			wait = min(wait, r.window)
		}
		time.Sleep(wait)
	}
}

// poll brings the tasks of all jobs up to date. It reports whether the cluster answered.
func (r *Runner) poll(ctx context.Context, byJob map[string][]*ticket, look bool) bool {
	for _, tickets := range byJob {
		for _, t := range tickets {
			r.talk(ctx, t)
		}
	}
	jobs, err := r.listJobs(ctx)
	if err != nil {
		return false
	}
	var pods map[place]*core.Pod
	getPods := func() bool {
		if pods == nil {
			pods, err = r.listPods(ctx)
		}
		return err == nil
	}
	for name, tickets := range byJob {
		j, there := jobs[name]
		for _, t := range tickets {
			switch {
			case !there:
				if t.absent++; t.absent >= absentFor && !r.collect(ctx, t) {
					r.end(t, stage.Result{}, fmt.Errorf("the job %s is gone and its task has left no result: somebody deleted it", name))
				}
				continue
			case inIndexes(j.Status.CompletedIndexes, t.place.Index):
				if !r.collect(ctx, t) && getPods() {
					r.fail(ctx, t, pods[t.place], "its pod ended well, but left no result")
				}
			case j.Status.FailedIndexes != nil && inIndexes(*j.Status.FailedIndexes, t.place.Index) || failed(j) != "":
				if !r.collect(ctx, t) && getPods() {
					r.fail(ctx, t, pods[t.place], failed(j))
				}
			case look && getPods():
				t.tell(j, pods[t.place])
			}
			t.absent = 0
		}
		if there && r.allDone(name) && failed(j) == "" && (j.Status.FailedIndexes == nil || *j.Status.FailedIndexes == "") {
			_ = r.remove(ctx, name) // its TTL will
		}
	}
	return true
}

// allDone reports whether nobody waits for a job any more.
func (r *Runner) allDone(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t := range r.open {
		if t.place.Job == name {
			return false
		}
	}
	return true
}

// failed says why a job as a whole has failed, or "".
func failed(j *batch.Job) string {
	for _, c := range j.Status.Conditions {
		if c.Type == batch.JobFailed && c.Status == core.ConditionTrue {
			return strings.Trim(c.Reason+": "+c.Message, ": ")
		}
	}
	return ""
}

// talk passes on what a task's worker tells and what is wanted of it.
func (r *Runner) talk(ctx context.Context, t *ticket) {
	t.hear(ctx)
	o, _ := t.hooks.Control.Orders(t.task.Stage)
	if o.Paused != t.orders.Paused || !maps.Equal(o.Set, t.orders.Set) {
		if t.parcel().Order(ctx, o) == nil {
			t.orders = o
		}
	}
}

// hear passes on what a task's worker tells, and where one has begun. What cannot be read
// now comes with the next look.
func (t *ticket) hear(ctx context.Context) {
	s, err := t.follow.Poll(ctx, t.hooks)
	if err != nil || s == nil || t.hooks.Placed == nil {
		return
	}
	p := t.place
	t.hooks.Placed(fmt.Sprintf("job %s, index %d; its pod's log: kubectl --namespace %s logs --tail -1 --selector %s=%s,%s=%d",
		p.Job, p.Index, p.Namespace, batch.JobNameLabel, p.Job, batch.JobCompletionIndexAnnotation, p.Index))
}

// collect ends a task that has left a result. It reports false if there is none.
func (r *Runner) collect(ctx context.Context, t *ticket) bool {
	t.hear(ctx)
	res, err := t.parcel().Collect(ctx, t.hooks.Store, t.task)
	if errors.Is(err, job.ErrNoResult) {
		return false
	}
	r.end(t, res, r.had(t, err))
	return true
}

// had adds to a shortage what the task was given.
func (r *Runner) had(t *ticket, err error) error {
	var s *exec.ShortageError
	if errors.As(err, &s) {
		s.Had = t.task.Needs
		s.Had.Memory = r.settings.needs(t.task).memory
	}
	return err
}

// fail ends a task whose pod has failed without a result.
func (r *Runner) fail(ctx context.Context, t *ticket, p *core.Pod, why string) {
	where := fmt.Sprintf("pod of job %s, index %d", t.place.Job, t.place.Index)
	if p == nil {
		r.end(t, stage.Result{}, &job.Error{Msg: strings.TrimSuffix(where+" failed: "+why, ": "), ExitCode: -1})
		return
	}
	where = "pod " + p.Name
	for _, c := range p.Status.ContainerStatuses {
		end := c.State.Terminated
		if end == nil {
			continue
		}
		if end.Reason == "OOMKilled" || end.ExitCode == killed && p.Status.Reason != "Evicted" {
			msg := where + " was killed for its memory"
			if m := r.settings.needs(t.task).memory; m > 0 {
				msg += fmt.Sprintf(" of %s", text.Size(m))
			}
			msg += ": raise resources: {memory}, or let further tries have more with retry: {memory: x2}"
			r.end(t, stage.Result{}, r.had(t, &exec.ShortageError{Of: exec.OfMemory, Msg: msg}))
			return
		}
		why = fmt.Sprintf("exit status %d (%s)", end.ExitCode, end.Reason)
		if end.Message != "" {
			why += "\n" + strings.TrimSpace(end.Message)
		}
		r.end(t, stage.Result{}, &job.Error{Msg: where + " failed: " + why, ExitCode: int(end.ExitCode)})
		return
	}
	if p.Status.Message != "" {
		why = strings.Trim(p.Status.Reason+": "+p.Status.Message, ": ")
	}
	r.end(t, stage.Result{}, &job.Error{Msg: where + " failed: " + why, ExitCode: -1})
}

// tell warns of what keeps a task from running, once for each cause.
func (t *ticket) tell(j *batch.Job, p *core.Pod) {
	why := ""
	switch {
	case j.Spec.Suspend != nil && *j.Spec.Suspend:
		why = "job " + j.Name + " is suspended: it waits for its queue"
	case p == nil:
	default:
		for _, c := range p.Status.Conditions {
			if c.Type == core.PodScheduled && c.Status == core.ConditionFalse {
				why = "pod " + p.Name + " finds no node: " + c.Message
			}
		}
		for _, c := range p.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
				why = strings.TrimSuffix("pod "+p.Name+" waits: "+w.Reason+": "+w.Message, ": ")
			}
		}
	}
	if why != t.waits && why != "" && t.hooks.Warn != nil {
		t.hooks.Warn(why)
	}
	t.waits = why
}
