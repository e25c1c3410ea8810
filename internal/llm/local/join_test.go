package local

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/lm/generate"
)

// Questions join a batch at work when they sample alike, each is handed over when it is done, and
// one that samples otherwise is not overtaken.
func TestJoin(t *testing.T) {
	ready := make(chan *batch)
	finish := make(chan struct{})
	q := newQueue(1, func(ctx context.Context, questions []*question, b *batch) {
		ready <- b
		select {
		case <-finish:
		case <-ctx.Done():
		}
	})
	type answer struct {
		question *question
		err      error
	}
	answers := make(chan answer, 8)
	ask := func(ctx context.Context, x *question) {
		go func() {
			_, err := q.do(ctx, x)
			answers <- answer{x, err}
		}()
		for { // until it is in the queue, or in a batch
			q.mu.Lock()
			in := x.batch != nil
			for _, w := range q.questions {
				in = in || w == x
			}
			q.mu.Unlock()
			if in {
				return
			}
			runtime.Gosched()
		}
	}
	first, alike, other, late := &question{}, &question{}, &question{sampling: sampling{topK: 3}}, &question{}
	ask(t.Context(), first)
	b := <-ready
	if got := b.more(5); len(got) != 0 {
		t.Fatalf("%d questions out of nothing", len(got))
	}
	ask(t.Context(), alike)
	ask(t.Context(), other)
	ask(t.Context(), late)
	if got := b.more(5); len(got) != 1 || got[0] != alike {
		t.Fatalf("%d questions joined, want the one before another kind", len(got))
	}
	alike.out = generate.Output{IDs: []int32{7}}
	b.done(alike)
	if a := <-answers; a.question != alike || a.err != nil {
		t.Fatalf("%v, %v: want the question that was done", a.question, a.err)
	}
	finish <- struct{}{}
	if a := <-answers; a.question != first || a.err != nil {
		t.Fatalf("%v, %v: want the first", a.question, a.err)
	}
	b = <-ready // the other kind
	if got := b.more(5); len(got) != 0 {
		t.Fatalf("%d questions joined another kind", len(got))
	}
	finish <- struct{}{}
	<-answers

	// Once the only live question of a batch is done and the rest is given up, it ends.
	b = <-ready
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	given := &question{}
	ask(ctx, given)
	if got := b.more(1); len(got) != 1 {
		t.Fatal("nothing joined")
	}
	cancel(why)
	if a := <-answers; a.question != given || !errors.Is(a.err, why) {
		t.Fatalf("%v, %v: want the question that was given up", a.question, a.err)
	}
	b.done(late)
	if a := <-answers; a.question != late || a.err != nil {
		t.Fatalf("%v, %v: want the last", a.question, a.err)
	}
	if got := b.more(1); got != nil {
		t.Fatal("a question joined a batch that is over")
	}
}

// A panic while a batch is answered is the error of those who wait for it, and the
// queue goes on with the next.
func TestPanicInABatch(t *testing.T) {
	broken := true
	q := newQueue(1, func(_ context.Context, questions []*question, _ *batch) {
		if broken {
			panic("boom")
		}
		questions[0].out = generate.Output{IDs: []int32{7}}
	})
	_, err := q.do(t.Context(), &question{})
	if llm.KindOf(err) != llm.KindInternal {
		t.Errorf("got %v", err)
	}
	broken = false
	if o, err := q.do(t.Context(), &question{}); err != nil || len(o.IDs) != 1 {
		t.Errorf("after a panic: %v, %v", o, err)
	}
}
