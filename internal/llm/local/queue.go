package local

import (
	"context"
	"sync"
	"time"

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
	gone  bool // nobody waits any more
	batch *batch
}

// batch is a set of jobs that are being answered.
type batch struct {
	waiting int
	cancel  context.CancelFunc
}

// queue puts jobs together. Its goroutines live only while there are jobs.
type queue struct {
	workers int
	run     func(ctx context.Context, jobs []*job) // sets out or err of each

	mu         sync.Mutex
	jobs       []*job
	busy       int // workers that live
	collecting int // of these, those about to take a batch
}

func newQueue(workers int, run func(context.Context, []*job)) *queue {
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
		go q.work()
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
		if b.waiting--; b.waiting == 0 {
			b.cancel()
		}
	}
	return generate.Output{}, context.Cause(ctx)
}

// work answers batches until the queue is empty. It enters as one that collects.
func (q *queue) work() {
	for {
		time.Sleep(collect)
		ctx, cancel := context.WithCancel(context.Background()) // of no single request
		jobs := q.take(cancel)
		if jobs == nil {
			cancel()
			return
		}
		q.run(ctx, jobs)
		cancel()
		q.mu.Lock()
		for _, j := range jobs {
			j.batch = nil
			close(j.done)
		}
		q.collecting++
		q.mu.Unlock()
	}
}

// take gives the oldest job with those that sample alike: this worker's share of them,
// where several collect. Nil ends the worker.
func (q *queue) take(cancel context.CancelFunc) []*job {
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
	b := &batch{waiting: n, cancel: cancel}
	for _, j := range alike[:n] {
		j.batch = b
	}
	return alike[:n]
}
