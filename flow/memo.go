package flow

import (
	"context"
	"fmt"
	"sync"

	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/store"
)

// Memo is the memo of paid answers. It opens when the first stage asks for it,
// so that runs without paid calls never touch it.
type Memo struct {
	dir    string
	getenv func(string) string
	cache  *remote.Cache // nil: shared with nobody
	opts   store.MemoOptions
	once   sync.Once
	memo   *store.Memo
	err    error
}

// UserMemo is the memo in a folder; "" means the user's data folder.
func UserMemo(dir string, getenv func(string) string) *Memo {
	return &Memo{dir: dir, getenv: getenv}
}

// Share lets other machines have the answers that are bought through l, and l have
// theirs. Call it before the memo is used.
func (l *Memo) Share(c *remote.Cache) *Memo {
	l.cache = c
	return l
}

func (l *Memo) open() error {
	l.once.Do(func() {
		dir := l.dir
		if dir == "" {
			if dir, l.err = store.DefaultMemoDir(l.getenv); l.err != nil {
				return
			}
		}
		l.memo, l.err = store.OpenMemo(dir, l.opts)
	})
	if l.err != nil {
		return fmt.Errorf("opening the memo of paid answers: %w", l.err)
	}
	return nil
}

// Get implements [stage.Memo].
func (l *Memo) Get(key [32]byte) ([]byte, bool, error) {
	if err := l.open(); err != nil {
		return nil, false, err
	}
	return l.memo.Get(key)
}

// Put implements [stage.Memo].
func (l *Memo) Put(key [32]byte, value []byte) error {
	if err := l.open(); err != nil {
		return err
	}
	return l.memo.Put(key, value)
}

// Claim implements [stage.Memo]. With a cache it brings the answer that another machine
// has bought, and holds the key among all machines.
func (l *Memo) Claim(ctx context.Context, key [32]byte, warn func(string)) (release func(), err error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	here, err := l.memo.Claim(ctx, key, warn)
	if err != nil || l.cache == nil {
		return here, err
	}
	_, bought, err := l.memo.Get(key) // by whoever held it here before
	if bought && err == nil {
		return here, nil
	}
	var everywhere func()
	if err == nil {
		everywhere, err = l.cache.Claim(ctx, l.memo, key)
	}
	if err != nil {
		here()
		return nil, err
	}
	return func() { everywhere(); here() }, nil
}

// Fetch brings those of the answers into the memo that other machines have bought.
func (l *Memo) Fetch(ctx context.Context, keys [][32]byte) error {
	if l.cache == nil || len(keys) == 0 {
		return nil
	}
	if err := l.open(); err != nil {
		return err
	}
	return l.cache.FetchAnswers(ctx, l.memo, keys)
}

// Offer lets other machines have the answer to a key.
func (l *Memo) Offer(ctx context.Context, key [32]byte) error {
	if l.cache == nil {
		return nil
	}
	if err := l.open(); err != nil {
		return err
	}
	return l.cache.OfferAnswer(ctx, l.memo, key)
}

// Close gives the memo's files back.
func (l *Memo) Close() error {
	if l.memo == nil {
		return nil
	}
	return l.memo.Close()
}
