package llm

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Memo keeps completed answers by RequestKey. Its methods are safe for concurrent use.
// Several processes or Transports may share one. A Transport claims a request that has no
// answer before it pays for it, so that of several who ask the same at the same time one
// buys and the others get its answer.
type Memo interface {
	Get(key [32]byte) (val []byte, ok bool, err error)
	// Put must not return before the value would survive a crash of this process: it was
	// paid for.
	Put(key [32]byte, val []byte) error
	// Claim waits until nobody else holds a claim on key; what holders before have put is
	// then in Get. release ends the claim; the end of the process does, too. warn is told
	// where claims cannot keep other processes away.
	Claim(ctx context.Context, key [32]byte, warn func(string)) (release func(), err error)
}

// memoEntry is what the memo holds: an answer, how it was paid for, and for one bought by
// a refreshing run that run's name, so that the run's continuation does not buy it again.
type memoEntry struct {
	Response
	Refresh string  `json:"refresh,omitempty"`
	Bought  *bought `json:"bought,omitempty"`
}

func encodeMemo(r *Response, refresh string, b *bought) ([]byte, error) {
	return json.Marshal(memoEntry{*r, refresh, b})
}

// decodeMemo reports false for a value it cannot read, and for a failed generation that an
// earlier version kept: the call is then made again, which heals the entry.
func decodeMemo(b []byte) (*memoEntry, bool) {
	var e memoEntry
	if err := json.Unmarshal(b, &e); err != nil || e.FinishReason == "" {
		return nil, false
	}
	if _, err := settleFinish(&e.Response); err != nil {
		return nil, false
	}
	return &e, true
}

// flight lets callers that ask for the same key at the same time share one call. It
// differs from x/sync/singleflight in one point: a caller whose leader was cancelled
// tries again under its own context instead of inheriting the cancellation.
type flight struct {
	mu sync.Mutex
	m  map[[32]byte]*flightCall
}

type flightCall struct {
	done chan struct{}
	resp *Response
	err  error
	gone bool // the leader's context ended, which says nothing about the call
}

// do runs fn once per key at a time. shared tells whether the answer is another caller's.
func (f *flight) do(ctx context.Context, key [32]byte, fn func() (*Response, error)) (resp *Response, shared bool, err error) {
	for {
		f.mu.Lock()
		if f.m == nil {
			f.m = map[[32]byte]*flightCall{}
		}
		c, waiting := f.m[key]
		if !waiting {
			c = &flightCall{done: make(chan struct{})}
			f.m[key] = c
			f.mu.Unlock()
			c.err = parallel.Call(func() (err error) {
				c.resp, err = fn()
				return err
			})
			c.gone = c.err != nil && ctx.Err() != nil
			f.mu.Lock()
			delete(f.m, key)
			f.mu.Unlock()
			close(c.done)
			return c.resp, false, c.err
		}
		f.mu.Unlock()
		select {
		case <-c.done:
			if c.gone && ctx.Err() == nil {
				continue
			}
			return c.resp, true, c.err
		case <-ctx.Done():
			return nil, true, context.Cause(ctx)
		}
	}
}
