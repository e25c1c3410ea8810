package hub

import (
	"context"
	"sync"
	"sync/atomic"
)

// asked remembers which references this process has asked the Hub for.
var asked sync.Map // of askedKey

type askedKey struct{ endpoint, cache, ref string }

// ResolveOnce is [Client.Resolve] that asks the Hub once in a process: planning,
// running and the check afterwards must mean the same commit by one name, or notice
// that another process has moved it in the cache, which is what is read the other
// times. The name of a reference does not count its path and split.
func (c *Client) ResolveOnce(ctx context.Context, r Ref) (*Snapshot, error) {
	key := askedKey{c.endpoint, c.cache, r.repo().String()}
	if _, ok := asked.Load(key); ok {
		if s, err := c.Cached(r); err == nil {
			return s, nil
		}
	}
	s, err := c.Resolve(ctx, r)
	if err == nil {
		asked.Store(key, true)
	}
	return s, err
}

var observer atomic.Pointer[func(Progress)]

// Observe lets f hear of the downloads and uploads of all clients of this process that have no
// Progress of their own; nil ends that. It is for the program's main package: a
// download may begin wherever a file is first needed, also where no one could hand a
// function down. f is called from the goroutines that download, several at a time.
func Observe(f func(Progress)) {
	if f == nil {
		observer.Store(nil)
		return
	}
	observer.Store(&f)
}

func observed(p Progress) {
	if f := observer.Load(); f != nil {
		(*f)(p)
	}
}
