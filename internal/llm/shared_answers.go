package llm

import (
	"context"
	"iter"
)

// SharedMemo is a [Memo] whose answers other machines have a part in. Claim sees to that
// for single calls; batches, whose requests nobody claims, use these methods.
type SharedMemo interface {
	Memo
	// Fetch brings those of the answers into the memo that others have bought. What cannot
	// be had is no error.
	Fetch(ctx context.Context, keys [][32]byte) error
	// Offer lets others have the answer that stands under key.
	Offer(ctx context.Context, key [32]byte) error
}

// fetchAtOnce is how many requests are looked up together.
const fetchAtOnce = 256

// fetched is seq; before a request comes the memo has its answer if others have bought it.
func (bs *Batches) fetched(ctx context.Context, seq iter.Seq2[Request, error]) iter.Seq2[Request, error] {
	memo, ok := bs.t.o.Memo.(SharedMemo)
	if !ok {
		return seq
	}
	return func(yield func(Request, error) bool) {
		var window []Request
		flush := func() bool {
			var keys [][32]byte
			for _, req := range window {
				key, r, err := bs.t.peek(req)
				if err == nil && r == nil { // errors come again in the caller's own look
					keys = append(keys, key)
				}
			}
			if err := memo.Fetch(ctx, keys); err != nil {
				return yield(Request{}, err)
			}
			for _, req := range window {
				if !yield(req, nil) {
					return false
				}
			}
			window = nil
			return true
		}
		for req, err := range seq {
			if err != nil {
				if flush() {
					yield(req, err)
				}
				return
			}
			if window = append(window, req); len(window) == fetchAtOnce && !flush() {
				return
			}
		}
		flush()
	}
}
