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

// InOrder runs the tasks of all rows on a number of workers and calls their Done
// functions one after the other in the given order, whatever finishes first. At most
// window rows are in memory at a time. Done functions run on the caller's goroutine,
// the sequence on one of its own. The first error or panic of a task or of the sequence,
// or error of a Done, cancels the tasks still running and is returned.
func InOrder(ctx context.Context, workers, window int, rows iter.Seq2[Row, error]) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type pending struct {
		row  Row
		left sync.WaitGroup
	}
	type task struct {
		run func(context.Context) error
		p   *pending
	}
	order := make(chan *pending, max(window, 1))
	tasks := make(chan task)
	var running parallel.Group
	start := func(f func() error) {
		running.Go(func() error {
			if err := parallel.Call(f); err != nil {
				stop(err)
			}
			return nil
		})
	}
	start(func() error {
		defer close(order)
		defer close(tasks)
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
				select {
				case tasks <- task{run, p}:
				case <-ctx.Done():
					p.left.Add(i - len(b.Tasks)) // nobody will run the rest
					return nil
				}
			}
		}
		return nil
	})
	for range max(workers, 1) {
		start(func() error {
			for t := range tasks {
				if ctx.Err() == nil {
					if err := parallel.Call(func() error { return t.run(ctx) }); err != nil {
						stop(err)
					}
				}
				t.p.left.Done()
			}
			return nil
		})
	}
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
