// Package parallel is the one way to start goroutines. A panic in one becomes an
// error of those who wait for it, instead of the end of the process and of every
// other stage that it runs.
package parallel

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// PanicError is a panic: a mistake in the code that ran, not in its input.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

// Error implements error.
func (e *PanicError) Error() string {
	return fmt.Sprintf("internal error: %v\n%s", e.Value, e.Stack)
}

// Unwrap gives the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Call runs f. If f panics, the error is a [*PanicError]; a *PanicError that is
// panicked on, in code that has no error to return, keeps its first stack.
func Call(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *PanicError:
			err = p
		default:
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return f()
}

// Start runs f in a goroutine of its own. wait returns its error, after a panic a
// [*PanicError], once f has ended; it may be called any number of times.
func Start(f func() error) (wait func() error) {
	var g Group
	g.Go(f)
	return g.Wait
}

// Group runs functions in goroutines and waits for them, as [errgroup.Group] does.
// The zero value has no limit and cancels nothing.
type Group errgroup.Group

// WithContext gives a group and a context that ends when the first function fails
// or Wait returns.
func WithContext(ctx context.Context) (*Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	return (*Group)(g), ctx
}

// SetLimit bounds how many functions run at a time; it is called before Go.
func (g *Group) SetLimit(n int) { (*errgroup.Group)(g).SetLimit(n) }

// Go runs f in a goroutine; it waits while the limit is reached.
func (g *Group) Go(f func() error) {
	(*errgroup.Group)(g).Go(func() error { return Call(f) })
}

// Wait returns the first error once all functions have ended.
func (g *Group) Wait() error { return (*errgroup.Group)(g).Wait() }
