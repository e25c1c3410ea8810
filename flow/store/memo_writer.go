package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// memoWriter appends to this process's segment. Puts that arrive while one is
// being synced are collected and share the next write and sync (group commit).
type memoWriter struct {
	mu      sync.Mutex
	idle    *sync.Cond // nobody is writing
	next    *memoBatch // collecting
	writing bool       // someone is writing batches
	closed  bool

	// Set once; tests replace them.
	open func(path string, flag int) (memoFile, error)
	full int64 // bytes at which the next segment is begun

	// Owned by whoever is writing.
	f    memoFile
	lock *flock.Flock
	seg  int // number in Memo.segments
	off  int64
}

// memoFile is what a writer needs of a segment's file.
type memoFile interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

func (w *memoWriter) init() {
	w.idle = sync.NewCond(&w.mu)
	w.open = func(path string, flag int) (memoFile, error) { return os.OpenFile(path, flag, 0o600) }
	w.full = segmentFull
}

type memoBatch struct {
	buf  []byte
	keys [][32]byte
	offs []int64 // within buf
	done chan struct{}
	err  error
}

// segmentFull is when a process goes on in another segment; a file of this size
// is quick to scan and to back up.
const segmentFull = 256 << 20

// Put stores the value for key and returns when it is durable. A key that is
// stored already keeps its value.
func (m *Memo) Put(key [32]byte, value []byte) error {
	if len(value) > memoMaxValue {
		return fmt.Errorf("store: memo: a value of %d bytes is more than %d", len(value), memoMaxValue)
	}
	if m.Has(key) {
		if _, ok, err := m.lookup(key); ok || err != nil {
			return err
		}
	}
	rec := m.codec.encode(key, value)
	w := &m.w
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errors.New("store: memo: is closed")
	}
	if w.next == nil {
		w.next = &memoBatch{done: make(chan struct{})}
	}
	b := w.next
	b.keys = append(b.keys, key)
	b.offs = append(b.offs, int64(len(b.buf)))
	b.buf = append(b.buf, rec...)
	lead := !w.writing
	w.writing = true
	w.mu.Unlock()
	if lead {
		// Not in this goroutine: under a steady load its caller would wait for
		// everyone else's records too.
		parallel.Start(func() error { m.writeBatches(); return nil })
	}
	<-b.done
	return b.err
}

// writeBatches writes until no batch is waiting.
func (m *Memo) writeBatches() {
	w := &m.w
	for {
		w.mu.Lock()
		b := w.next
		w.next = nil
		if b == nil {
			w.writing = false
			w.idle.Broadcast()
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		b.err = parallel.Call(func() error { return m.writeBatch(b) })
		close(b.done)
	}
}

func (m *Memo) writeBatch(b *memoBatch) error {
	w := &m.w
	if w.f == nil {
		if err := m.openForWriting(); err != nil {
			return memoWriteErr(m.dir, err)
		}
	}
	n, err := w.f.WriteAt(b.buf, w.off)
	if err == nil {
		m.fault(FaultMemoWritten)
		if !m.opts.NoSync {
			err = w.f.Sync()
		}
	}
	if err != nil {
		// Nobody is told that these records exist; cut them off again. After a
		// failed sync the kernel may have dropped pages, so that this segment
		// is not written to any more.
		if n > 0 {
			_ = w.f.Truncate(w.off)
		}
		m.giveUp(false)
		return memoWriteErr(m.dir, err)
	}
	m.fault(FaultMemoSynced)
	m.mu.Lock()
	for i, key := range b.keys {
		m.note(key, newMemoLoc(w.seg, w.off+b.offs[i]))
	}
	w.off += int64(len(b.buf))
	g := m.segments[w.seg]
	g.end, g.tail = w.off, [memoTrail]byte(b.buf[len(b.buf)-memoTrail:])
	m.mu.Unlock()
	if w.off >= w.full {
		m.giveUp(true)
	}
	return nil
}

func (m *Memo) fault(point string) {
	if m.opts.Fault != nil {
		m.opts.Fault(point)
	}
}

// openForWriting takes a segment for this process: one that nobody writes and
// that ends soundly, so that a thousand short runs do not leave a thousand
// files, else a new one.
func (m *Memo) openForWriting() error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	if err := m.Refresh(); err != nil {
		return err
	}
	m.mu.RLock()
	segments := m.segments
	m.mu.RUnlock()
	for i := len(segments) - 1; i >= 0; i-- {
		if m.tryAppend(i, segments[i]) {
			return nil
		}
	}
	for {
		// Another process may be looking at the new file to append to it, and hold
		// its lock for that moment.
		if err := m.newSegment(); !errors.Is(err, errTaken) {
			return err
		}
	}
}

var errTaken = errors.New("another process holds the new segment's lock")

// tryAppend takes segment i if it is free, small and sound at its end.
func (m *Memo) tryAppend(i int, g *memoSegment) bool {
	m.mu.RLock()
	end := g.end
	m.mu.RUnlock()
	if end >= m.w.full/2 {
		return false
	}
	l := flock.New(g.path, flock.SetFlag(os.O_RDWR))
	if ok, err := l.TryLock(); err != nil || !ok {
		_ = l.Close()
		return false
	}
	// Locked: read what its last writer added, then look at the end.
	m.mu.Lock()
	err := m.scan(i)
	clean, off := g.clean, g.end
	m.mu.Unlock()
	fi, statErr := os.Stat(g.path)
	read, readErr := g.f.Stat()
	if err != nil || statErr != nil || readErr != nil || !os.SameFile(fi, read) ||
		!clean || fi.Size() != off || off < int64(len(memoHeader)) {
		_ = l.Close()
		return false
	}
	f, err := m.w.open(g.path, os.O_RDWR)
	if err != nil {
		_ = l.Close()
		return false
	}
	m.w.f, m.w.lock, m.w.seg, m.w.off = f, l, i, off
	m.own(g)
	return true
}

func (m *Memo) newSegment() error {
	name := "seg-" + m.opts.Now().UTC().Format("20060102T150405.000000000") + "-" + randomName() + ".dfm"
	path := filepath.Join(m.dir, name)
	f, err := m.w.open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	l := flock.New(path, flock.SetFlag(os.O_RDWR))
	ok, err := l.TryLock()
	if err == nil && !ok {
		err = errTaken
	}
	if !errors.Is(err, errTaken) {
		// A file system without locks still has segments of one's own: the
		// name is random and nobody else can take it for writing either.
		_, err = f.WriteAt([]byte(memoHeader), 0)
	}
	if err == nil && !m.opts.NoSync {
		err = errors.Join(atomicfile.SyncDir(m.dir), atomicfile.SyncDir(filepath.Dir(m.dir)))
	}
	var rf *os.File
	if err == nil {
		rf, err = os.Open(path)
	}
	if err != nil {
		return errors.Join(err, l.Close(), f.Close(), os.Remove(path))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, known := m.byName[path]
	if !known {
		if len(m.segments) >= 1<<16 {
			return errors.Join(fmt.Errorf("has more than %d segments", 1<<16), rf.Close(), l.Close(), f.Close())
		}
		i = m.addSegment(&memoSegment{path: path, f: rf})
	} else {
		_ = rf.Close()
	}
	g := m.segments[i]
	g.end, g.tail, g.clean, g.own = int64(len(memoHeader)), [memoTrail]byte([]byte(memoHeader)), true, true
	m.w.f, m.w.lock, m.w.seg, m.w.off = f, l, i, g.end
	return nil
}

// randomName keeps the segments of processes apart that begin at the same moment.
func randomName() string {
	var r [4]byte
	_, _ = rand.Read(r[:]) // never fails
	return hex.EncodeToString(r[:])
}

// own keeps scans away from a segment that this process writes: its records
// enter the index when they are durable, and not before.
func (m *Memo) own(g *memoSegment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g.own = true
}

// giveUp ends writing to the current segment. One that is not sound at its end
// is not appended to again.
func (m *Memo) giveUp(sound bool) {
	m.mu.Lock()
	g := m.segments[m.w.seg]
	g.own, g.clean = false, sound
	m.mu.Unlock()
	m.w.release()
}

// release gives the segment back to whoever writes next.
func (w *memoWriter) release() {
	if w.f != nil {
		_ = w.f.Close() // synced, or given up
		_ = w.lock.Close()
		w.f, w.lock = nil, nil
	}
}

func (w *memoWriter) close() {
	w.mu.Lock()
	w.closed = true
	for w.writing { // let the last batches finish
		w.idle.Wait()
	}
	w.mu.Unlock()
	w.release()
}

func memoWriteErr(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("store: memo %s: the disk is full or the quota is used up (free space or set DISTILLFLOW_MEMO): %w", dir, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store: memo %s: cannot be written (set DISTILLFLOW_MEMO to a writable folder): %w", dir, err)
	}
	return fmt.Errorf("store: memo %s: %w", dir, err)
}
