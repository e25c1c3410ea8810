package parallel

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

var errBoom = errors.New("boom")

func TestPanicBecomesAnError(t *testing.T) {
	var g Group
	for name, err := range map[string]error{
		"call":  Call(func() error { panic(errBoom) }),
		"start": Start(func() error { panic(errBoom) })(),
		"group": func() error { g.Go(func() error { panic(errBoom) }); return g.Wait() }(),
	} {
		var p *PanicError
		if !errors.As(err, &p) || !errors.Is(err, errBoom) || !strings.Contains(string(p.Stack), "parallel_test.go") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	first := Call(func() error { panic("x") })
	if again := Call(func() error { panic(first) }); again != first {
		t.Errorf("a panic handed on lost its stack: %v", again)
	}
	if err := Call(func() error { return errBoom }); err != errBoom {
		t.Errorf("got %v", err)
	}
}

func TestGroup(t *testing.T) {
	g, ctx := WithContext(t.Context())
	g.SetLimit(2)
	var running, most atomic.Int64
	for range 20 {
		g.Go(func() error {
			most.Store(max(most.Load(), running.Add(1)))
			running.Add(-1)
			return nil
		})
	}
	g.Go(func() error { <-ctx.Done(); return ctx.Err() })
	g.Go(func() error { panic("stop") })
	var p *PanicError
	if err := g.Wait(); !errors.As(err, &p) || p.Value != "stop" {
		t.Errorf("got %v, want the panic", err)
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("the context goes on after a panic")
	}
	if most.Load() > 2 {
		t.Errorf("%d functions ran at a time, the limit is 2", most.Load())
	}
}

func TestStartRunsOnce(t *testing.T) {
	var n atomic.Int64
	wait := Start(func() error { n.Add(1); return errBoom })
	first, again := wait(), wait()
	if first != errBoom || again != errBoom || n.Load() != 1 {
		t.Errorf("ran %d times", n.Load())
	}
}
