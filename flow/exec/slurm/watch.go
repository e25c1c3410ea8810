package slurm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

const (
	maxPause     = 2 * time.Minute // between two queries, or two submissions, that fail
	maxElements  = 1000            // of an array, whatever the cluster allows
	defaultArray = 1001            // Slurm's own MaxArraySize
	outageAfter  = 3               // failed queries in a row are told of
)

// add hands an element to the watcher, which starts with the first and ends with the last.
func (r *Runner) add(e *element) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.submitted {
		r.queue[e] = struct{}{}
	} else {
		r.waiting = append(r.waiting, e)
	}
	if !r.watching {
		r.watching = true
		parallel.Start(func() error {
			if err := parallel.Call(func() error { r.watch(); return nil }); err != nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.watching = false
				for e := range r.queue {
					e.err = err
				}
				for _, e := range r.waiting {
					e.err = err
				}
			}
			return nil
		})
	}
	r.poke()
}

func (r *Runner) remove(e *element) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.queue, e)
	r.waiting = slices.DeleteFunc(r.waiting, func(w *element) bool { return w == e })
	r.poke()
}

func (r *Runner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// watch submits what waits, cancels what is to go, and looks at the queue: it alone talks
// with Slurm. It has no context: a submission that has begun must become known.
func (r *Runner) watch() {
	ctx := context.Background()
	var next time.Time // when to look
	fails, maxArray := 0, 0
	for {
		r.mu.Lock()
		r.waiting = slices.DeleteFunc(r.waiting, func(e *element) bool { return e.cancel })
		if len(r.waiting) == 0 && len(r.queue) == 0 {
			r.watching = false
			r.mu.Unlock()
			return
		}
		batch := r.due(time.Now())
		r.mu.Unlock()
		if len(batch) > 0 && maxArray == 0 {
			maxArray = min(maxElements, max(1, config(ctx, "MaxArraySize", defaultArray)))
		}
		for _, part := range group(batch, maxArray) {
			r.submit(ctx, part)
			next = time.Time{}
		}
		if r.scancel(ctx) {
			next = time.Now().Add(min(r.s.Poll, time.Second))
			if err := r.look(ctx); err == nil {
				fails = 0
			}
		} else if !time.Now().Before(next) {
			err := r.look(ctx)
			pause := r.s.Poll
			if err == nil {
				fails = 0
			} else {
				fails++
				pause = max(pause, min(maxPause, pause<<min(fails, 8)))
				if fails == outageAfter {
					r.tell("Slurm does not answer; the jobs go on meanwhile: " + err.Error())
				}
			}
			next = time.Now().Add(time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64()))) // coordinators must not ask in step
		}
		wait := min(time.Until(next), r.untilDue(time.Now()))
		select {
		case <-r.wake:
		case <-time.After(wait):
		}
	}
}

// tell warns of what concerns all jobs, once.
func (r *Runner) tell(m string) {
	r.mu.Lock()
	var to *element
	for e := range r.queue {
		if to == nil || e.task.Stage < to.task.Stage {
			to = e
		}
	}
	r.mu.Unlock()
	if to != nil {
		to.warn(m)
	}
}

// untilDue is when the next element wants to be submitted.
func (r *Runner) untilDue(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := time.Hour
	if r.room() == 0 {
		return wait
	}
	for _, e := range r.waiting {
		wait = min(wait, max(e.since.Add(window).Sub(now), e.notBefore.Sub(now)))
	}
	return max(wait, 0)
}

// room is how many more jobs may be in the queue.
func (r *Runner) room() int {
	if r.s.MaxJobs == 0 {
		return len(r.waiting)
	}
	return min(len(r.waiting), max(0, r.s.MaxJobs-len(r.queue)))
}

// due takes the elements whose time has come. Those that came a little later go with the
// first, so that what starts together is one array.
func (r *Runner) due(now time.Time) []*element {
	if !slices.ContainsFunc(r.waiting, func(e *element) bool { return now.Sub(e.since) >= window && !now.Before(e.notBefore) }) {
		return nil
	}
	room := r.room()
	var due, later []*element
	for _, e := range r.waiting {
		if len(due) < room && !now.Before(e.notBefore) {
			due = append(due, e)
		} else {
			later = append(later, e)
		}
	}
	r.waiting = later
	for _, e := range due {
		r.queue[e] = struct{}{}
	}
	return due
}

// group makes arrays of the elements with the same request, of at most most each.
func group(all []*element, most int) [][]*element {
	slices.SortStableFunc(all, func(a, b *element) int { return strings.Compare(a.req.key, b.req.key) })
	var parts [][]*element
	for len(all) > 0 {
		n := 1
		for n < min(len(all), most) && all[n].req.key == all[0].req.key {
			n++
		}
		parts = append(parts, all[:n:n])
		all = all[n:]
	}
	return parts
}

// submit submits some tasks as one job. Its name is in every folder before.
func (r *Runner) submit(ctx context.Context, part []*element) {
	in := intent{Name: newName(), At: time.Now().UTC(), Array: len(part) > 1}
	folders := make([]job.Folder, len(part))
	for i, e := range part {
		in.Index = i
		r.mu.Lock()
		e.intent, e.submitted, e.absent = in, true, 0
		r.mu.Unlock()
		folders[i] = e.folder
		if err := in.write(e.folder, atomicfile.Durable); err != nil {
			r.refuse(part, fmt.Errorf("writing down a submission: %w", err))
			return
		}
	}
	argv := []string{"--parsable", "--job-name=" + in.Name, "--output=/dev/null", "--error=/dev/null"}
	if in.Array {
		argv = append(argv, fmt.Sprintf("--array=0-%d", len(part)-1))
	}
	out, err := command(ctx, script(in.Name, r.binary, r.worker(), part[0].req, folders), "sbatch", append(argv, part[0].req.argv...)...)
	if err != nil && passing(err) {
		r.retry(ctx, part, in.Name, err)
		return
	}
	if err != nil {
		r.refuse(part, &job.Error{Msg: "Slurm refuses the job: " + err.Error(), ExitCode: -1, Final: true})
		return
	}
	id, _, _ := strings.Cut(strings.TrimSpace(out), ";") // ;CLUSTER may follow
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range part {
		e.intent.Job = id
		_ = e.intent.write(e.folder, atomicfile.Relaxed) // the name suffices
	}
}

// worker is the command of a worker, before its folder.
func (r *Runner) worker() string {
	words := []string{"worker"}
	for _, f := range r.host.Worker {
		words = append(words, quote(f))
	}
	return strings.Join(words, " ")
}

// refuse ends elements that cannot be submitted.
func (r *Runner) refuse(part []*element, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range part {
		e.err = err
	}
}

// retry puts elements back whose submission failed for the moment. Slurm may have taken
// the job all the same: it has, if the queue shows its name, and an element that starts
// later sees in its folder that it was given up.
func (r *Runner) retry(ctx context.Context, part []*element, name string, err error) {
	tries := 0
	for {
		time.Sleep(min(settle, r.s.Poll))
		rows, qerr := queue(ctx)
		if qerr == nil {
			if slices.ContainsFunc(rows, func(row row) bool { return row.Name == name }) {
				return // it is found by its name
			}
			break
		}
		if tries++; tries == outageAfter {
			part[0].warn("Slurm does not answer, the submission waits: " + qerr.Error())
		}
		r.mu.Lock()
		given := !slices.ContainsFunc(part, func(e *element) bool { return !e.cancel })
		r.mu.Unlock()
		if given {
			return // to be found and cancelled, if it is there
		}
	}
	part[0].warn("Slurm takes no job for the moment, it is submitted again later: " + err.Error())
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range part {
		if _, there := r.queue[e]; !there {
			continue
		}
		delete(r.queue, e)
		e.submitted = false
		pause := max(settle, 2*time.Since(e.since))
		e.notBefore = time.Now().Add(min(pause, maxPause))
		r.waiting = append(r.waiting, e)
	}
}

// look asks for the queue and notes what it says of each element.
func (r *Runner) look(ctx context.Context) error {
	at := time.Now()
	rows, err := queue(ctx)
	if err != nil {
		return err
	}
	type place struct {
		name  string
		index int
	}
	by := make(map[place]row, len(rows))
	for _, row := range rows {
		p := place{row.Name, row.index()}
		if old, twice := by[p]; !twice || old.State.ended() {
			by[p] = row
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.queue {
		if !e.submitted || e.intent.At.After(at) {
			continue
		}
		row, there := by[place{e.intent.Name, e.intent.Index}]
		if !there {
			if e.absent++; e.absent == 1 {
				e.absentAt = at
			}
			continue
		}
		e.absent = 0
		if row.State != e.row.State {
			e.stateAt = at
		}
		e.row, e.rowAt = row, at
		e.ran = e.ran || row.State == "RUNNING"
		if e.intent.Job == "" {
			e.intent.Job, _, _ = strings.Cut(row.ID, "_")
		}
		if !row.State.ended() && !row.State.interrupted() {
			e.attached = false
		}
	}
	return nil
}

// scancel cancels what is to go. It reports whether anything is still to go.
func (r *Runner) scancel(ctx context.Context) bool {
	r.mu.Lock()
	var ids []string
	var told []*element
	left := false
	for e := range r.queue {
		if !e.cancel {
			continue
		}
		left = true
		if id := e.intent.id(); id != "" && time.Since(e.cancelled) > 5*time.Second {
			ids, told = append(ids, id), append(told, e)
		}
	}
	r.mu.Unlock()
	for chunk := range slices.Chunk(ids, 200) {
		_, err := command(ctx, "", "scancel", chunk...)
		if err != nil && !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "Invalid job id") {
			return left // soon again
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range told {
		e.cancelled = time.Now()
	}
	return left
}
