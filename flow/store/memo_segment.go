package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// memoSegment is one append-only file, read by position.
type memoSegment struct {
	path  string
	f     *os.File
	end   int64           // everything before was scanned; guarded by Memo.mu
	tail  [memoTrail]byte // the bytes before end
	clean bool            // the last scan ended exactly at a record's end
	own   bool            // this process is appending to it
}

// readAhead covers a typical answer in one call.
const readAhead = 8 << 10

var readBuffers = sync.Pool{New: func() any { b := make([]byte, readAhead); return &b }}

// read returns the record at off. Damage is ErrCorrupt.
func (g *memoSegment) read(codec *memoCodec, off int64) (memoRecord, []byte, error) {
	buf := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buf)
	b := *buf
	n, err := g.f.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return memoRecord{}, nil, err
	}
	rec, ok := parseMemoHead(b[:n])
	if !ok {
		return memoRecord{}, nil, ErrCorrupt
	}
	size := int(rec.size())
	if size > n {
		if n < len(b) {
			return memoRecord{}, nil, ErrCorrupt // the file ends inside the record
		}
		b = make([]byte, size)
		if _, err := g.f.ReadAt(b, off); errors.Is(err, io.EOF) {
			return memoRecord{}, nil, ErrCorrupt
		} else if err != nil {
			return memoRecord{}, nil, err
		}
	}
	value, ok := codec.decode(rec, b[:size])
	if !ok {
		return memoRecord{}, nil, ErrCorrupt
	}
	return rec, value, nil
}

// scan indexes what was appended to segment i since the last scan. It reads
// headers and checks that the record's end lies inside the file; payloads are
// checked by Get. The caller holds m.mu.
func (m *Memo) scan(i int) error {
	g := m.segments[i]
	if g.own {
		return nil
	}
	fi, err := g.f.Stat()
	if err != nil {
		return fmt.Errorf("store: memo: %w", err)
	}
	size := fi.Size()
	if g.end > 0 {
		var tail [memoTrail]byte
		if _, err := g.f.ReadAt(tail[:], g.end-memoTrail); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("store: memo %s: %w", g.path, err)
		}
		if tail != g.tail {
			// Its writer could not sync records that we have read already, and
			// cut them off; others may have been written in their place.
			m.forget(i)
			g.end = 0
		}
	}
	if size <= g.end {
		return nil
	}
	off := g.end
	r := newWindow(g.f, off, size)
	if off == 0 {
		head := r.at(0, len(memoHeader))
		if head == nil {
			return nil // just created
		}
		if string(head) != memoHeader {
			if first := r.at(off+int64(len(memoHeader)), memoHead); first == nil || !isMemoHead(first) {
				if v := newerMemo(r.at(0, min(int(size), 20))); v > 0 {
					return fmt.Errorf("store: memo %s: has format %d, this program knows %d: use a newer distillflow, or another memo (DISTILLFLOW_MEMO)", g.path, v, memoVersion)
				}
			}
			m.corrupt++
			m.warn(g.path, "does not begin like a file of the memo; its records are searched for")
		}
		off = int64(len(memoHeader))
	}
	g.clean = true
	for off < size {
		head := r.at(off, memoHead)
		rec, ok := memoRecord{}, false
		if head != nil {
			rec, ok = parseMemoHead(head)
		}
		if ok && off+rec.size() <= size {
			m.note(rec.key, newMemoLoc(i, off))
			off += rec.size()
			continue
		}
		next, found := r.find(off + 1)
		if !found {
			// A torn tail, or a record that its writer has not finished:
			// look again from here when the file has grown.
			g.clean = false
			break
		}
		m.corrupt++
		m.warn(g.path, "bytes %d to %d are damaged and skipped; their requests are sent again when they are needed", off, next)
		off = next
	}
	g.end = off
	if tail := r.at(off-memoTrail, memoTrail); tail != nil {
		copy(g.tail[:], tail)
	}
	if r.err != nil {
		return fmt.Errorf("store: memo %s: %w", g.path, r.err)
	}
	return nil
}

func isMemoHead(b []byte) bool {
	_, ok := parseMemoHead(b)
	return ok
}

// newerMemo is the format that the begin of a segment names, if that is newer than this
// program's; otherwise 0.
func newerMemo(begin []byte) int {
	line, _, whole := bytes.Cut(begin, []byte("\n"))
	number, named := bytes.CutPrefix(line, []byte(memoName))
	if v, err := strconv.Atoi(string(number)); whole && named && err == nil && v > memoVersion {
		return v
	}
	return 0
}

// forget takes the records of segment i out of the index. The caller holds m.mu.
func (m *Memo) forget(i int) {
	here := func(l memoLoc) bool { return l.segment() == i }
	for id, more := range m.more {
		if m.more[id] = slices.DeleteFunc(more, here); len(m.more[id]) == 0 {
			delete(m.more, id)
		}
	}
	for id, loc := range m.index {
		if here(loc) {
			m.next(id)
		}
	}
}

// window reads a file forward in large steps.
type window struct {
	f    io.ReaderAt
	size int64
	off  int64
	buf  []byte
	have int
	err  error
}

const windowSize = 256 << 10

// newWindow reads from an offset on. What was appended since the last scan is
// mostly little, and so is the buffer then.
func newWindow(f io.ReaderAt, from, size int64) *window {
	return &window{f: f, size: size, buf: make([]byte, min(windowSize, size-from))}
}

// at returns n bytes at off, nil when the file ends before.
func (w *window) at(off int64, n int) []byte {
	if off+int64(n) > w.size {
		return nil
	}
	if off < w.off || off+int64(n) > w.off+int64(w.have) {
		w.fill(off)
	}
	i := int(off - w.off)
	if i < 0 || i+n > w.have {
		return nil
	}
	return w.buf[i : i+n]
}

func (w *window) fill(off int64) {
	n, err := w.f.ReadAt(w.buf, off)
	if err != nil && !errors.Is(err, io.EOF) && w.err == nil {
		w.err = err
	}
	w.off, w.have = off, n
}

// find returns the offset of the next record whose header and end are in the
// file.
func (w *window) find(from int64) (int64, bool) {
	for off := from; off+memoHead <= w.size; {
		// One header's length overlaps, so that none is cut in two.
		w.fill(off)
		if w.have < memoHead {
			return 0, false
		}
		for i := 0; i+memoHead <= w.have; i++ {
			k := bytes.Index(w.buf[i:w.have], []byte(memoMagic))
			if k < 0 || i+k+memoHead > w.have {
				break
			}
			i += k
			at := off + int64(i)
			if rec, ok := parseMemoHead(w.buf[i:w.have]); ok && at+rec.size() <= w.size {
				return at, true
			}
		}
		off += int64(w.have - memoHead + 1)
	}
	return 0, false
}

// globEscape protects a folder's name from filepath.Glob.
func globEscape(dir string) string {
	if !strings.ContainsAny(dir, `*?[\`) {
		return dir
	}
	var b strings.Builder
	for _, r := range dir {
		if strings.ContainsRune(`*?[`, r) || r == '\\' && os.PathSeparator == '/' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
