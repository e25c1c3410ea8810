package llm

import (
	"testing"
	"testing/synctest"
	"time"
)

// Calls that were in flight together and are all told to slow down lower the bound once;
// those sent under the new bound lower it again.
func TestGateLowersOnceARound(t *testing.T) {
	synctest.Test(t, gateLowersOnceARound) // a bound that is too low is a deadlock there
}

func gateLowersOnceARound(t *testing.T) {
	g := newGate(16)
	round := func(n int, err error) {
		for range n {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range n {
			g.leave(err, 0)
		}
	}
	busy := &Error{Kind: KindRate}
	for _, step := range []struct {
		calls int
		err   error
		want  int
	}{
		{16, busy, 8}, {8, busy, 4}, {4, &Error{Kind: KindServer}, 4},
		{4, nil, 5}, {5, nil, 6}, {6, busy, 3}, {1, busy, 1}, {1, busy, 1}, {1, nil, 2},
	} {
		round(step.calls, step.err)
		if _, limit := g.state(); limit != step.want {
			t.Errorf("%d calls that end with %v: the bound is %d, want %d", step.calls, step.err, limit, step.want)
		}
	}
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.leave(busy, time.Hour)
	if wait := time.Until(g.until); wait < 59*time.Minute {
		t.Errorf("Retry-After of an hour holds calls back for %s", wait)
	}
}
