package flow

import (
	"context"
	"fmt"
	"sync"

	"github.com/distillflow/distillflow/flow/store"
)

// Memo is the memo of paid answers. It opens when the first stage asks for it,
// so that runs without paid calls never touch it.
type Memo struct {
	dir    string
	getenv func(string) string
	once   sync.Once
	memo   *store.Memo
	err    error
}

// UserMemo is the memo in a folder; "" means the user's data folder.
func UserMemo(dir string, getenv func(string) string) *Memo {
	return &Memo{dir: dir, getenv: getenv}
}

func (l *Memo) open() error {
	l.once.Do(func() {
		dir := l.dir
		if dir == "" {
			if dir, l.err = store.DefaultMemoDir(l.getenv); l.err != nil {
				return
			}
		}
		l.memo, l.err = store.OpenMemo(dir, store.MemoOptions{})
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

// Claim implements [stage.Memo].
func (l *Memo) Claim(ctx context.Context, key [32]byte, warn func(string)) (release func(), err error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	return l.memo.Claim(ctx, key, warn)
}

// Close gives the memo's files back.
func (l *Memo) Close() error {
	if l.memo == nil {
		return nil
	}
	return l.memo.Close()
}
