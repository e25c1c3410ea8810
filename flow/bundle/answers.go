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
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
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
	write := func(w io.Writer) error { return writeAnswers(w, keys, memo) }
	sum := newSummed(io.Discard)
	if err := write(sum); err != nil {
		return item{}, err
	}
	return item{Entry{answersName, sum.n, sum.digest()}, write}, nil
}

// writeAnswers writes for each key, in their order, the key, the number of the
// answer's bytes as a little-endian uint32, and the answer.
func writeAnswers(w io.Writer, keys map[[32]byte]bool, memo stage.Memo) error {
	b := bufio.NewWriterSize(w, 256<<10)
	for _, k := range slices.SortedFunc(maps.Keys(keys), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
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

// exportedAnswers begins a file of answers; what follows is as [writeAnswers] has it,
// all of it compressed.
const exportedAnswers = "distillflow answers 1\n"

// ExportAnswers writes the answers that a run used, for [ImportAnswers], and returns
// how many. The run must be done and its recipe and files as they were. Stages whose
// answers the memo no longer has are left out; notes says why, by stage.
func ExportAnswers(ctx context.Context, w io.Writer, src Source) (n int, notes map[string]string, err error) {
	c, err := newCreator(src, Options{})
	if err != nil {
		return 0, nil, err
	}
	if err := errors.Join(c.results(ctx), c.findAnswers(ctx)); err != nil {
		return 0, nil, err
	}
	z, err := zstd.NewWriter(w)
	if err != nil {
		return 0, nil, fmt.Errorf("compressing: %w", err)
	}
	_, err = io.WriteString(z, exportedAnswers)
	if err == nil {
		err = writeAnswers(z, c.keys, src.Memo)
	}
	return len(c.keys), c.notes, errors.Join(err, z.Close())
}

// ImportAnswers puts the answers that [ExportAnswers] wrote into a memo and returns
// how many there were. An answer that the memo has already stays.
func ImportAnswers(r io.Reader, memo *store.Memo) (int, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return 0, err
	}
	defer z.Close()
	head := make([]byte, len(exportedAnswers))
	if _, err := io.ReadFull(z, head); err != nil || string(head) != exportedAnswers {
		return 0, errors.New("not a file of answers that `memo export` wrote")
	}
	return loadAnswers(z, memo)
}

// How many answers, and about how many bytes of them, wait together until the disk has them.
const (
	putAtOnce = 64
	putBytes  = 64 << 20
)

// loadAnswers puts the answers of r into a memo and returns how many there were.
func loadAnswers(r io.Reader, memo *store.Memo) (n int, err error) {
	b := bufio.NewReaderSize(r, 256<<10)
	var last [32]byte
	puts, waiting := newPuts(), 0
	defer func() { err = errors.Join(err, puts.Wait()) }()
	for ; ; n++ {
		var head [36]byte
		if _, err := io.ReadFull(b, head[:]); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("the list of answers is cut short: %w", err)
		}
		key, size := [32]byte(head[:32]), binary.LittleEndian.Uint32(head[32:])
		if n > 0 && bytes.Compare(key[:], last[:]) <= 0 || size > maxAnswer {
			return n, fmt.Errorf("the list of answers is damaged at number %d", n+1)
		}
		var v bytes.Buffer // grows with what is there, whatever the length promises
		if _, err := io.CopyN(&v, b, int64(size)); err != nil {
			return n, fmt.Errorf("the list of answers is cut short: %w", err)
		}
		puts.Go(func() error { return memo.Put(key, v.Bytes()) })
		if waiting += v.Len(); waiting > putBytes {
			if err := puts.Wait(); err != nil {
				return n, nil //nolint:nilerr // the deferred Wait gives it again
			}
			puts, waiting = newPuts(), 0
		}
		last = key
	}
}

func newPuts() *parallel.Group {
	g := &parallel.Group{}
	g.SetLimit(putAtOnce)
	return g
}
