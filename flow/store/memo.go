package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// MemoOptions adjusts a memo. The zero value is the usual one.
type MemoOptions struct {
	Warn    func(Warning)      // told about damage; may be called from any goroutine
	Fault   func(point string) // called between writing, syncing and answering
	Refresh time.Duration      // how often a miss may look for other processes' records; 0 means 500 ms, negative never
	Now     func() time.Time   // the clock, for tests; nil means time.Now
	NoSync  bool               // leave flushing to the operating system: tests and benchmarks
}

// Memo keeps single paid calls by the hash of their request. A value is never
// changed: the first sound record of a key stays in force. Methods are safe for
// several goroutines, and several processes may use one folder: each appends to
// a segment of its own and reads everyone's. Whoever pays for a value claims its
// key first; see Claim.
type Memo struct {
	dir   string
	opts  MemoOptions
	codec *memoCodec

	mu       sync.RWMutex // guards the index and the list of segments
	index    map[memoID]memoLoc
	more     map[memoID][]memoLoc // further records of the same key, rare
	segments []*memoSegment
	byName   map[string]int
	corrupt  int // records or stretches found damaged
	scanned  time.Time

	w      memoWriter
	claims memoClaims
	catch  memoCatchUp
}

// memoID is the first half of a key. Keys are hashes, so that halves do not
// collide by chance, and Get compares the whole key.
type memoID [16]byte

// memoLoc is a segment number in the upper 16 bits and an offset in the lower 48.
type memoLoc uint64

func newMemoLoc(segment int, off int64) memoLoc { return memoLoc(segment)<<48 | memoLoc(off) }

func (l memoLoc) segment() int  { return int(l >> 48) }
func (l memoLoc) offset() int64 { return int64(l & (1<<48 - 1)) }

func idOfKey(key [32]byte) memoID { return memoID(key[:16]) }

// MemoStats counts what a memo holds.
type MemoStats struct {
	Records  int   // distinct keys
	Segments int   // files
	Bytes    int64 // size of the files as far as they were read
	Corrupt  int   // damaged records or stretches that were skipped
}

// OpenMemo opens the memo in dir and reads its index. A folder that does not
// exist is an empty memo; the first Put creates it. See DefaultMemoDir.
func OpenMemo(dir string, opts MemoOptions) (*Memo, error) {
	if dir == "" {
		return nil, errors.New("store: the memo's folder name is empty")
	}
	if opts.Refresh == 0 {
		opts.Refresh = 500 * time.Millisecond
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	codec, err := newMemoCodec()
	if err != nil {
		return nil, err
	}
	m := &Memo{
		dir: filepath.Clean(dir), opts: opts, codec: codec,
		index: map[memoID]memoLoc{}, more: map[memoID][]memoLoc{}, byName: map[string]int{},
	}
	m.claims.init(m.dir)
	m.w.init()
	if err := m.Refresh(); err != nil {
		codec.close()
		return nil, err
	}
	return m, nil
}

// Dir returns the memo's folder.
func (m *Memo) Dir() string { return m.dir }

// Get returns the value stored for key. Damage counts as a miss and is
// reported; an error means that the memo could not be read.
func (m *Memo) Get(key [32]byte) ([]byte, bool, error) {
	v, ok, err := m.lookup(key)
	if ok || err != nil || m.opts.Refresh < 0 {
		return v, ok, err
	}
	m.mu.RLock()
	due := m.opts.Now().Sub(m.scanned) >= m.opts.Refresh
	m.mu.RUnlock()
	if !due {
		return nil, false, nil
	}
	if err := m.Refresh(); err != nil {
		return nil, false, err
	}
	return m.lookup(key)
}

// Has reports whether a record for key is known, without reading its value. It
// does not look for what other processes have added; see Refresh.
func (m *Memo) Has(key [32]byte) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.index[idOfKey(key)]
	return ok
}

func (m *Memo) lookup(key [32]byte) ([]byte, bool, error) {
	k, value, ok, err := m.inForce(idOfKey(key))
	return value, ok && k == key, err
}

// inForce reads the record in force of an id. Damaged ones are forgotten, and so
// are those whose place another record has taken.
func (m *Memo) inForce(id memoID) (key [32]byte, value []byte, ok bool, err error) {
	for {
		m.mu.RLock()
		loc, ok := m.index[id]
		var seg *memoSegment
		if ok {
			seg = m.segments[loc.segment()]
		}
		m.mu.RUnlock()
		if !ok {
			return key, nil, false, nil
		}
		rec, value, err := seg.read(m.codec, loc.offset())
		if err == nil && idOfKey(rec.key) == id {
			return rec.key, value, true, nil
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return key, nil, false, fmt.Errorf("store: memo %s: %w", seg.path, err)
		}
		m.drop(id, loc, seg)
	}
}

// drop forgets a damaged record and brings the key's next one forward.
func (m *Memo) drop(id memoID, loc memoLoc, seg *memoSegment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.index[id] != loc {
		return
	}
	m.corrupt++
	m.next(id)
	m.warn(seg.path, "the record at byte %d is damaged; its request is sent again when it is needed", loc.offset())
}

// next puts the key's next record in the place of the one in force. The caller
// holds m.mu.
func (m *Memo) next(id memoID) {
	more := m.more[id]
	if len(more) == 0 {
		delete(m.index, id)
		return
	}
	m.index[id] = more[0]
	if m.more[id] = more[1:]; len(more) == 1 {
		delete(m.more, id)
	}
}

func (m *Memo) warn(path, format string, args ...any) {
	if m.opts.Warn != nil {
		m.opts.Warn(Warning{Path: path, Problem: fmt.Sprintf(format, args...)})
	}
}

// Refresh reads what other processes have added.
func (m *Memo) Refresh() error {
	names, err := filepath.Glob(filepath.Join(globEscape(m.dir), "seg-*.dfm"))
	if err != nil {
		return fmt.Errorf("store: memo: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scanned = m.opts.Now()
	for _, name := range names { // sorted, hence by age
		i, ok := m.byName[name]
		if !ok {
			if i, err = m.openSegment(name); err != nil {
				return err
			}
			if i < 0 {
				continue
			}
		}
		if err := m.scan(i); err != nil {
			return err
		}
	}
	return nil
}

// openSegment adds a segment to the list. It returns -1 for one that is gone or
// not a segment.
func (m *Memo) openSegment(name string) (int, error) {
	if len(m.segments) >= 1<<16 {
		return -1, fmt.Errorf("store: memo %s: has more than %d segments", m.dir, 1<<16)
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("store: memo: %w", err)
	}
	return m.addSegment(&memoSegment{path: name, f: f}), nil
}

func (m *Memo) addSegment(seg *memoSegment) int {
	i := len(m.segments)
	m.segments = append(m.segments, seg)
	m.byName[seg.path] = i
	return i
}

// note enters a record into the index. The first record of a key stays in
// force; later ones wait in case it turns out damaged.
func (m *Memo) note(key [32]byte, loc memoLoc) {
	id := idOfKey(key)
	if _, ok := m.index[id]; ok {
		m.more[id] = append(m.more[id], loc)
		return
	}
	m.index[id] = loc
}

// Stats counts what is known now.
func (m *Memo) Stats() MemoStats {
	m.mu.RLock()
	defer m.mu.RUnlock()
	st := MemoStats{Records: len(m.index), Segments: len(m.segments), Corrupt: m.corrupt}
	for _, s := range m.segments {
		st.Bytes += s.end
	}
	return st
}

// Close ends writing and closes the files. Every Put that returned is on disk
// already.
func (m *Memo) Close() error {
	m.w.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	err := errors.Join(m.claims.close(), m.reset())
	m.codec.close()
	return err
}

// reset closes the segments and forgets what was read; Refresh reads it again. The
// caller holds m.mu.
func (m *Memo) reset() (err error) {
	for _, s := range m.segments {
		err = errors.Join(err, s.f.Close())
	}
	m.segments, m.index, m.more, m.byName = nil, map[memoID]memoLoc{}, map[memoID][]memoLoc{}, map[string]int{}
	return err
}

// DefaultMemoDir returns the folder of the memo of paid calls: the value of
// DISTILLFLOW_MEMO, else distillflow/memo in the user's data folder
// ($XDG_DATA_HOME, ~/.local/share, on Windows %LocalAppData%). It is not a
// cache folder, because what lies there was paid for. getenv is os.Getenv or a
// stand-in for tests.
func DefaultMemoDir(getenv func(string) string) (string, error) {
	if d := getenv("DISTILLFLOW_MEMO"); d != "" {
		return filepath.Abs(d)
	}
	// The base directory specification says to ignore relative values.
	if d := getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "distillflow", "memo"), nil
	}
	if runtime.GOOS == "windows" {
		if d := getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "distillflow", "memo"), nil
		}
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if d := getenv(name); d != "" {
			return filepath.Join(d, ".local", "share", "distillflow", "memo"), nil
		}
	}
	return "", errors.New("store: no folder for the memo of paid calls: set DISTILLFLOW_MEMO or HOME")
}
