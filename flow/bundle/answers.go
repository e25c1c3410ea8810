package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// maxAnswer is the longest value of a memo.
const maxAnswer = 256 << 20

// recorder is a memo that remembers which answers were read, and never writes to
// the one behind it.
type recorder struct {
	from stage.Memo
	mu   sync.Mutex
	used map[[32]byte]bool
	own  map[[32]byte][]byte // what the stage put: accounts, never answers, since it may ask nobody
}

func newRecorder(from stage.Memo) *recorder {
	return &recorder{from: from, used: map[[32]byte]bool{}, own: map[[32]byte][]byte{}}
}

// Get implements [stage.Memo].
func (r *recorder) Get(key [32]byte) ([]byte, bool, error) {
	r.mu.Lock()
	v, ok := r.own[key]
	r.mu.Unlock()
	if ok {
		return v, true, nil
	}
	v, ok, err := r.from.Get(key)
	if ok && err == nil {
		r.mu.Lock()
		r.used[key] = true
		r.mu.Unlock()
	}
	return v, ok, err
}

// Put implements [stage.Memo].
func (r *recorder) Put(key [32]byte, value []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own[key] = value
	return nil
}

// Claim implements [stage.Memo]. Nothing is bought through a recorder.
func (r *recorder) Claim(context.Context, [32]byte, func(string)) (func(), error) {
	return func() {}, nil
}

// answersItem packs the answers to keys. They are read twice: once for their
// digest, once to be written.
func answersItem(keys map[[32]byte]bool, memo stage.Memo) (item, error) {
	sorted := make([][32]byte, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.SortFunc(sorted, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	write := func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 256<<10)
		for _, k := range sorted {
			v, ok, err := memo.Get(k)
			if err == nil && !ok {
				err = errors.New("it is gone from the memo")
			}
			if err != nil {
				return fmt.Errorf("the answer %s: %w", hex.EncodeToString(k[:]), err)
			}
			var n [4]byte
			binary.LittleEndian.PutUint32(n[:], uint32(len(v)))
			for _, part := range [][]byte{k[:], n[:], v} {
				if _, err := b.Write(part); err != nil {
					return err
				}
			}
		}
		return b.Flush()
	}
	sum := newSummed(io.Discard)
	if err := write(sum); err != nil {
		return item{}, err
	}
	return item{Entry{answersName, sum.n, sum.digest()}, write}, nil
}

// loadAnswers puts the answers of r into a memo and returns how many there were.
func loadAnswers(r io.Reader, memo *store.Memo) (int, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	var last [32]byte
	for n := 0; ; n++ {
		var head [36]byte
		if _, err := io.ReadFull(b, head[:]); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("%s is cut short: %w", answersName, err)
		}
		key, size := [32]byte(head[:32]), binary.LittleEndian.Uint32(head[32:])
		if n > 0 && bytes.Compare(key[:], last[:]) <= 0 || size > maxAnswer {
			return n, fmt.Errorf("%s is damaged at its answer %d", answersName, n+1)
		}
		var v bytes.Buffer // grows with what is there, whatever the length promises
		if _, err := io.CopyN(&v, b, int64(size)); err != nil {
			return n, fmt.Errorf("%s is cut short: %w", answersName, err)
		}
		if err := memo.Put(key, v.Bytes()); err != nil {
			return n, fmt.Errorf("unpacking the answers: %w", err)
		}
		last = key
	}
}
