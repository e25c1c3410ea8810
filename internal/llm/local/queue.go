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

// question is one request that waits for its answer.
type question struct {
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

// batch is a set of questions that are being answered. Its fields are guarded by the queue's
// lock.
type batch struct {
	q         *queue
	questions []*question // all it ever had; those answered belong to no batch any more
	waiting   int         // questions that somebody waits for
	gone      int         // questions that nobody waits for any more
	over      bool        // cancelled
	cancel    context.CancelFunc
}

// queue puts questions together. Its goroutines live only while there are questions.
type queue struct {
	workers int
	run     runFunc

	mu         sync.Mutex
	questions  []*question
	busy       int // workers that live
	collecting int // of these, those about to take a batch
}

// runFunc sets out or err of each question. It may take more questions from the batch while it works,
// and hand over those that are done before the others.
type runFunc func(ctx context.Context, questions []*question, b *batch)

func newQueue(workers int, run runFunc) *queue {
	return &queue{workers: workers, run: run}
}

// do waits for the question's answer. When ctx ends first the question is given up, and its batch
// with it once nobody waits for any of its questions.
func (q *queue) do(ctx context.Context, x *question) (generate.Output, error) {
	x.done = make(chan struct{})
	q.mu.Lock()
	q.questions = append(q.questions, x)
	if q.busy < q.workers {
		q.busy++
		q.collecting++
		parallel.Start(q.work) // nobody waits: its batches have the errors
	}
	q.mu.Unlock()
	select {
	case <-x.done:
		return x.out, x.err
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	x.gone = true
	if b := x.batch; b != nil {
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
		err := parallel.Call(func() error { q.run(ctx, b.questions, b); return nil })
		cancel()
		q.mu.Lock()
		for _, x := range b.questions {
			if x.batch != nil {
				if err != nil {
					x.err = err
				}
				b.end(x)
			}
		}
		q.collecting++
		q.mu.Unlock()
	}
}

// take gives the oldest question and those that sample alike: this worker's share of them
// when several collect. Nil ends the worker.
func (q *queue) take(cancel context.CancelFunc) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	share := q.collecting
	q.collecting--
	var rest, alike []*question
	for _, x := range q.questions {
		switch {
		case x.gone:
		case len(alike) == 0 || x.sampling == alike[0].sampling:
			alike = append(alike, x)
		default:
			rest = append(rest, x)
		}
	}
	if len(alike) == 0 {
		q.questions = nil
		q.busy--
		return nil
	}
	n := min((len(alike)+share-1)/share, maxRows)
	q.questions = append(alike[n:len(alike):len(alike)], rest...)
	b := &batch{q: q, questions: alike[:n:n], waiting: n, cancel: cancel}
	for _, x := range b.questions {
		x.batch = b
	}
	return b
}

// check ends a batch whose questions nobody waits for. The queue is locked.
func (b *batch) check() {
	if b.waiting == 0 && b.gone > 0 {
		b.over = true
		b.cancel()
	}
}

// end answers a question. The queue is locked.
func (b *batch) end(x *question) {
	x.batch = nil
	close(x.done)
	if x.gone {
		b.gone--
	} else {
		b.waiting--
	}
	b.check()
}

// done hands over a question whose out or err is set.
func (b *batch) done(x *question) {
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	b.end(x)
}

// more gives up to n waiting questions that sample as those of the batch, in their order. It
// stops at one that samples otherwise, which would wait for ever.
func (b *batch) more(n int) []*question {
	q := b.q
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*question
	for len(q.questions) > 0 && len(out) < n {
		x := q.questions[0]
		if !x.gone {
			if b.over || x.sampling != b.questions[0].sampling {
				break
			}
			x.batch = b
			b.waiting++
			out = append(out, x)
		}
		q.questions = q.questions[1:]
	}
	b.questions = append(b.questions, out...)
	return out
}
