package data

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
)

// idKey stands for an id: the first 128 bits of its SHA-256. Two different ids
// among n share one with a chance below n²/2^129, which for four thousand million
// rows is 2^-65; such a chance never lets a duplicate pass, it would only report
// one too many.
type idKey struct{ hi, lo uint64 }

func keyOf(id string) idKey {
	sum := sha256.Sum256([]byte(id))
	return idKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

func (k idKey) compare(o idKey) int {
	return cmp.Or(cmp.Compare(k.hi, o.hi), cmp.Compare(k.lo, o.lo))
}

// idEntry is an id and where it stands. What the number means is the caller's;
// it must grow from one add to the next and be above 0, which marks a free slot.
type idEntry struct {
	key idKey
	at  uint64
}

func (e idEntry) compare(o idEntry) int {
	return cmp.Or(e.key.compare(o.key), cmp.Compare(e.at, o.at))
}

const (
	entryBytes = 24
	// idLimit is how many ids are held in memory, in a table of 24 MiB.
	idLimit = 3 << 18
	// mergeBytes bounds the read buffers of a merge, all of them together.
	mergeBytes = 16 << 20
)

// idIndex finds ids that occur twice, at any number of ids in constant memory:
// a hash table takes them until it is full, and is then written to disk as a
// sorted run; close to the end the runs are merged, where equal ids meet.
type idIndex struct {
	scratch func() (*os.File, error)
	limit   int // ids in memory
	table   []idEntry
	n       int // ids in the table
	file    *os.File
	runs    []idRun
	size    int64 // bytes in the file
}

// idRun is a sorted part of the file.
type idRun struct{ start, bytes int64 }

// repeat is an id that stands in two places.
type repeat struct {
	key           idKey
	first, second uint64
}

// newIDIndex makes an index with up to limit ids in memory; scratch makes the
// file for those that are more.
func newIDIndex(limit int, scratch func() (*os.File, error)) *idIndex {
	return &idIndex{scratch: scratch, limit: limit, table: make([]idEntry, 1<<8)}
}

// scratchIn makes scratch files in a folder, which it makes too; "" is the
// system's folder for temporary files.
func scratchIn(dir string) func() (*os.File, error) {
	return func() (*os.File, error) {
		if dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
		}
		return os.CreateTemp(dir, "ids-*")
	}
}

// add notes where an id stands. It reports an earlier place if that is still in
// memory; repeats reports the others.
func (x *idIndex) add(k idKey, at uint64) (first uint64, twice bool, err error) {
	if x.n >= x.limit {
		if err := x.spill(); err != nil {
			return 0, false, err
		}
	}
	slot := x.find(k)
	if slot.at != 0 {
		return slot.at, true, nil
	}
	*slot = idEntry{k, at}
	if x.n++; x.n*4 > len(x.table)*3 {
		old := x.table
		x.table = make([]idEntry, 2*len(old))
		for _, e := range old {
			if e.at != 0 {
				*x.find(e.key) = e
			}
		}
	}
	return 0, false, nil
}

// find gives the slot that holds a key or the free one that it belongs into. Keys
// are hashes already, so their own bits choose the slot.
func (x *idIndex) find(k idKey) *idEntry {
	mask := uint64(len(x.table) - 1)
	for i := k.hi & mask; ; i = (i + 1) & mask {
		if e := &x.table[i]; e.at == 0 || e.key == k {
			return e
		}
	}
}

// spill writes the table to the file, sorted, and empties it.
func (x *idIndex) spill() error {
	if x.file == nil {
		f, err := x.scratch()
		if err != nil {
			return fmt.Errorf("checking for duplicate ids: %w", err)
		}
		x.file = f
	}
	full := x.table[:0]
	for _, e := range x.table {
		if e.at != 0 {
			full = append(full, e)
		}
	}
	slices.SortFunc(full, idEntry.compare)
	w := bufio.NewWriterSize(x.file, 256<<10)
	var b [entryBytes]byte
	for _, e := range full {
		binary.BigEndian.PutUint64(b[0:], e.key.hi)
		binary.BigEndian.PutUint64(b[8:], e.key.lo)
		binary.BigEndian.PutUint64(b[16:], e.at)
		if _, err := w.Write(b[:]); err != nil {
			return fmt.Errorf("checking for duplicate ids: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("checking for duplicate ids: %w", err)
	}
	run := idRun{start: x.size, bytes: int64(len(full)) * entryBytes}
	x.runs = append(x.runs, run)
	x.size += run.bytes
	clear(x.table)
	x.n = 0
	return nil
}

// repeats hands each on those repeats that add did not see, in no useful order.
// An id that stands in many places gives a repeat for each but the first.
func (x *idIndex) repeats(each func(repeat)) error {
	if len(x.runs) == 0 {
		return nil
	}
	if err := x.spill(); err != nil {
		return err
	}
	buffer := min(max(mergeBytes/len(x.runs), 4<<10), 256<<10)
	heads := make([]runHead, 0, len(x.runs))
	for _, r := range x.runs {
		h := runHead{r: bufio.NewReaderSize(io.NewSectionReader(x.file, r.start, r.bytes), buffer)}
		if err := h.next(); err != nil {
			return err
		}
		heads = append(heads, h)
	}
	for i := len(heads)/2 - 1; i >= 0; i-- {
		siftDown(heads, i)
	}
	last := idEntry{}
	for heads[0].entry.at != math.MaxUint64 {
		e := heads[0].entry
		if e.key == last.key && last.at != 0 {
			each(repeat{e.key, last.at, e.at})
		} else {
			last = e
		}
		if err := heads[0].next(); err != nil {
			return err
		}
		siftDown(heads, 0)
	}
	return nil
}

// firstRepeat hands on the repeat that comes first in the data, if there is one.
func (x *idIndex) firstRepeat(tell func(first, second uint64) error) error {
	var least repeat
	if err := x.repeats(func(r repeat) {
		if least.second == 0 || r.second < least.second {
			least = r
		}
	}); err != nil || least.second == 0 {
		return err
	}
	return tell(least.first, least.second)
}

// close removes the file.
func (x *idIndex) close() error {
	if x.file == nil {
		return nil
	}
	return errors.Join(x.file.Close(), os.Remove(x.file.Name()))
}

// runHead is the next entry of a run; at its end, one that sorts behind all.
type runHead struct {
	r     *bufio.Reader
	entry idEntry
}

func (h *runHead) next() error {
	b, err := h.r.Peek(entryBytes)
	if errors.Is(err, io.EOF) && len(b) == 0 {
		h.entry = idEntry{idKey{math.MaxUint64, math.MaxUint64}, math.MaxUint64}
		return nil
	}
	if err != nil {
		return fmt.Errorf("checking for duplicate ids: %w", err)
	}
	h.entry = idEntry{
		idKey{binary.BigEndian.Uint64(b[0:]), binary.BigEndian.Uint64(b[8:])},
		binary.BigEndian.Uint64(b[16:]),
	}
	_, err = h.r.Discard(entryBytes)
	return err
}

// siftDown restores the heap of run heads, smallest on top. It is not
// container/heap, whose calls through an interface would cost more than the
// comparisons.
func siftDown(h []runHead, i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].entry.compare(h[least].entry) < 0 {
				least = c
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// copyCounter numbers the copies of ids as they come by. Over limit ids it reads
// everything once more, with all, to learn which ids come again, and from then on
// remembers only those.
type copyCounter struct {
	limit   int
	all     func(add func(id string) error) error
	scratch func() (*os.File, error)
	counts  map[idKey]int
	known   bool // which ids come again; counts holds them all
}

// next tells the how manyth of its kind an id is, from 1.
func (c *copyCounter) next(id string) (int, error) {
	k := keyOf(id)
	if !c.known && len(c.counts) >= c.limit {
		if err := c.learn(); err != nil {
			return 0, err
		}
	}
	if _, again := c.counts[k]; c.known && !again {
		return 1, nil
	}
	if c.counts == nil {
		c.counts = map[idKey]int{}
	}
	c.counts[k]++
	return c.counts[k], nil
}

// numbered gives a copy of an id a number, "-2" and so on; the first keeps it as
// it is.
func (c *copyCounter) numbered(id string) (string, error) {
	n, err := c.next(id)
	if n > 1 {
		id += "-" + strconv.Itoa(n)
	}
	return id, err
}

func (c *copyCounter) learn() (err error) {
	x := newIDIndex(c.limit, c.scratch)
	defer func() { err = errors.Join(err, x.close()) }()
	again := map[idKey]int{}
	n := uint64(0)
	if err := c.all(func(id string) error {
		n++
		k := keyOf(id)
		_, twice, err := x.add(k, n)
		if twice {
			again[k] = c.counts[k]
		}
		return err
	}); err != nil {
		return err
	}
	if err := x.repeats(func(r repeat) { again[r.key] = c.counts[r.key] }); err != nil {
		return err
	}
	c.counts, c.known = again, true
	return nil
}
