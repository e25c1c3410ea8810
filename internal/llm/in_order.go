package llm

import (
	"context"
	"iter"
	"sync"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Row is the work of one row: its Tasks may run in any order and at the same time, and
// Done is called after all of them, in the order of the rows.
type Row struct {
	Tasks []func(context.Context) error
	Done  func() error
}

// Workers is how many tasks run at a time. It may change while they do.
type Workers struct{ places *gate }

// NewWorkers gives n workers, at least one.
func NewWorkers(n int) *Workers { return &Workers{newGate(max(n, 1))} }

// Resize changes their number to n, at least one. Tasks that run are not ended.
func (w *Workers) Resize(n int) { w.places.resize(max(n, 1)) }

// InOrder runs the tasks of all rows on workers and calls their Done
// functions one after the other in the given order, whatever finishes first. At most
// window rows are in memory at a time. Done functions run on the caller's goroutine,
// the sequence on one of its own. The first error or panic of a task or of the sequence,
// or error of a Done, cancels the tasks still running and is returned.
func InOrder(ctx context.Context, workers *Workers, window int, rows iter.Seq2[Row, error]) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type pending struct {
		row  Row
		left sync.WaitGroup
	}
	order := make(chan *pending, max(window, 1))
	var running parallel.Group
	start := func(f func() error, ended func()) {
		running.Go(func() error {
			if err := parallel.Call(f); err != nil {
				stop(err)
			}
			ended()
			return nil
		})
	}
	start(func() error {
		for b, err := range rows {
			if err != nil {
				return err
			}
			p := &pending{row: b}
			p.left.Add(len(b.Tasks))
			select {
			case order <- p:
			case <-ctx.Done():
				return nil
			}
			for i, run := range b.Tasks {
				if workers.places.enter(ctx) != nil {
					p.left.Add(i - len(b.Tasks)) // nobody will run the rest
					return nil
				}
				start(func() error { return run(ctx) }, func() {
					workers.places.leave(nil, 0)
					p.left.Done()
				})
			}
		}
		return nil
	}, func() { close(order) })
	for p := range order {
		p.left.Wait()
		if ctx.Err() != nil {
			continue // drain, so that the producer can end
		}
		if err := p.row.Done(); err != nil {
			stop(err)
		}
	}
	_ = running.Wait() // their errors went to stop
	return context.Cause(ctx)
}
