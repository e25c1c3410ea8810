package local

import (
	"context"
	"sync"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/generate"
)

// collect is how long a worker waits for further requests before it takes a batch. A
// request takes seconds, so this costs nothing and fills batches.
const collect = 5 * time.Millisecond

// maxRows bounds a batch; the caches of its rows lie in memory together.
const maxRows = 256

// sampling is what the rows of one batch have in common.
type sampling struct {
	maxNew      int
	temperature float64
	topP        float64
	topK        int
	stop        string // the strings in JSON
}

// job is one request that waits for its answer.
type job struct {
	sampling
	stops []string
	ids   []int32
	seed  uint64

	done chan struct{} // closed when out or err is set
	out  generate.Output
	err  error

	// Guarded by the queue's lock.
	gone  bool   // nobody waits any more
	batch *batch // that it belongs to until it is answered
}

// batch is a set of jobs that are being answered. Its fields are guarded by the queue's
// lock.
type batch struct {
	q       *queue
	jobs    []*job // all it ever had; those answered belong to no batch any more
	waiting int    // jobs that somebody waits for
	gone    int    // jobs that nobody waits for any more
	over    bool   // cancelled
	cancel  context.CancelFunc
}

// queue puts jobs together. Its goroutines live only while there are jobs.
type queue struct {
	workers int
	run     runFunc

	mu         sync.Mutex
	jobs       []*job
	busy       int // workers that live
	collecting int // of these, those about to take a batch
}

// runFunc sets out or err of each job. It may take more jobs from the batch while it works,
// and hand over those that are done before the others.
type runFunc func(ctx context.Context, jobs []*job, b *batch)

func newQueue(workers int, run runFunc) *queue {
	return &queue{workers: workers, run: run}
}

// do waits for the job's answer. When ctx ends first the job is given up, and its batch
// with it once nobody waits for any of its jobs.
func (q *queue) do(ctx context.Context, j *job) (generate.Output, error) {
	j.done = make(chan struct{})
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	if q.busy < q.workers {
		q.busy++
		q.collecting++
		parallel.Start(q.work) // nobody waits: its batches have the errors
	}
	q.mu.Unlock()
	select {
	case <-j.done:
		return j.out, j.err
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	j.gone = true
	if b := j.batch; b != nil {
		b.waiting--
		b.gone++
		b.check()
	}
	return generate.Output{}, context.Cause(ctx)
}

// work answers batches until the queue is empty. It enters as one that collects.
func (q *queue) work() error {
	for {
		time.Sleep(collect)
		ctx, cancel := context.WithCancel(context.Background()) // of no single request
		b := q.take(cancel)
		if b == nil {
			cancel()
			return nil
		}
		err := parallel.Call(func() error { q.run(ctx, b.jobs, b); return nil })
		cancel()
		q.mu.Lock()
		for _, j := range b.jobs {
			if j.batch != nil {
				if err != nil {
					j.err = err
				}
				b.end(j)
			}
		}
		q.collecting++
		q.mu.Unlock()
	}
}

// take gives the oldest job with those that sample alike: this worker's share of them,
// where several collect. Nil ends the worker.
func (q *queue) take(cancel context.CancelFunc) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	share := q.collecting
	q.collecting--
	var rest, alike []*job
	for _, j := range q.jobs {
		switch {
		case j.gone:
		case len(alike) == 0 || j.sampling == alike[0].sampling:
			alike = append(alike, j)
		default:
			rest = append(rest, j)
		}
	}
	if len(alike) == 0 {
		q.jobs = nil
		q.busy--
		return nil
	}
	n := min((len(alike)+share-1)/share, maxRows)
	q.jobs = append(alike[n:len(alike):len(alike)], rest...)
	b := &batch{q: q, jobs: alike[:n:n], waiting: n, cancel: cancel}
	for _, j := range b.jobs {
		j.batch = b
	}
	return b
}

// check ends a batch whose jobs nobody waits for. The queue is locked.
func (b *batch) check() {
	if b.waiting == 0 && b.gone > 0 {
		b.over = true
		b.cancel()
	}
}

// end answers a job. The queue is locked.
func (b *batch) end(j *job) {
	j.batch = nil
	close(j.done)
	if j.gone {
		b.gone--
	} else {
		b.waiting--
	}
	b.check()
}

// done hands over a job whose out or err is set.
func (b *batch) done(j *job) {
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	b.end(j)
}

// more gives up to n waiting jobs that sample as those of the batch, in their order. It
// stops at one that samples otherwise, which would else wait for ever.
func (b *batch) more(n int) []*job {
	q := b.q
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*job
	for len(q.jobs) > 0 && len(out) < n {
		j := q.jobs[0]
		if !j.gone {
			if b.over || j.sampling != b.jobs[0].sampling {
				break
			}
			j.batch = b
			b.waiting++
			out = append(out, j)
		}
		q.jobs = q.jobs[1:]
	}
	b.jobs = append(b.jobs, out...)
	return out
}
