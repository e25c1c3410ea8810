package llm

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// sharedMemo is the memo of one of several machines.
type sharedMemo struct {
	llmtest.Memo
	others *llmtest.Memo

	mu      sync.Mutex
	fetched int
	err     error
}

func (m *sharedMemo) Fetch(_ context.Context, keys [][32]byte) error {
	m.mu.Lock()
	m.fetched += len(keys)
	m.mu.Unlock()
	for _, k := range keys {
		if v, ok, _ := m.others.Get(k); ok {
			if err := m.Put(k, v); err != nil {
				return err
			}
		}
	}
	return m.err
}

func (m *sharedMemo) Offer(_ context.Context, key [32]byte) error {
	v, _, err := m.Get(key)
	return errors.Join(err, m.others.Put(key, v))
}

// What one machine bought in batches another does not submit again; it is looked up many
// requests at a time, and only what is not known here.
func TestBatchesUseWhatOtherMachinesBought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, others := &farm{polls: 1}, &llmtest.Memo{}
		for i, asked := range []int{300, 400} {
			memo := &sharedMemo{others: others}
			p := newProcess(t, f, memo, "s", Limits{}, BatchOptions{MaxRequests: 100})
			for range 2 { // the second time it is all here
				if n, errs, err := p.run(t.Context(), asked); n != asked || len(errs) > 0 || err != nil {
					t.Fatal(n, errs, err)
				}
			}
			if memo.fetched != asked {
				t.Errorf("machine %d looked up %d answers, want %d", i, memo.fetched, asked)
			}
		}
		if len(f.bought) != 400 {
			t.Errorf("%d requests were submitted, want 400", len(f.bought))
		}
		for prompt, n := range f.bought {
			if n != 1 {
				t.Errorf("%s was bought %d times", prompt, n)
			}
		}
		memo := &sharedMemo{others: others, err: errors.New("disk full")}
		if _, _, err := newProcess(t, f, memo, "s", Limits{}, BatchOptions{}).run(t.Context(), 10); err == nil || err.Error() != "disk full" {
			t.Errorf("got %v", err)
		}
	})
}
