package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// racyWindow is how long before its hashing a file must have come to rest for
// its digest to be remembered. A file that changed just before could change
// once more within the same tick of the file system's clock, and a stat call
// would not show it (git's "racily clean" entries). Two seconds is the coarsest
// tick in use, FAT's.
const racyWindow = 2 * time.Second

// statCache remembers the digests of external input files. In the file
// "statcache" a line is
//
//	path TAB size TAB mtime TAB ctime TAB inode TAB digest
type statCache struct {
	mu      sync.Mutex
	loaded  bool
	entries map[string]statEntry
	tail    []byte
	lines   int
}

type statEntry struct {
	FileState
	digest Digest
}

// FileState tells one state of a file from another without reading it: equal
// states of the same file mean that nothing wrote to it in between, but for what
// happens within one tick of the file system's clock. Where the system gives the
// time of the last change of any kind (ctime), writing to a file and setting its
// modification time back shows too.
type FileState struct {
	id    fileID
	ctime int64
}

// StateOf is the state that a stat call told of.
func StateOf(fi fs.FileInfo) FileState { return FileState{id: idOf(fi), ctime: changeTime(fi)} }

// changed is when the state came about, in nanoseconds since 1970.
func (f FileState) changed() int64 { return max(f.id.mtime, f.ctime) }

// HashFile returns the digest and the size in bytes of an external input file,
// such as a data set. A file whose size, times and inode did not change since
// it was last hashed is not read again. Symbolic links are followed.
func (s *Store) HashFile(ctx context.Context, path string) (Digest, int64, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", 0, fmt.Errorf("store: %w", err)
	}
	fi, err := os.Stat(abs)
	if err != nil {
		return "", 0, fmt.Errorf("store: input file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return "", 0, fmt.Errorf("store: input %s: is a %s, want a file", path, kindOf(fi.Mode()))
	}
	if e, ok := s.stats.get(s, abs); ok && e.FileState == StateOf(fi) {
		return e.digest, fi.Size(), nil
	}
	// Twice: a file that was appended to while it was read may have come to
	// rest; a file that still grows is not an input.
	for range 2 {
		started := s.now()
		d, n, err := hashInput(ctx, abs)
		if err != nil {
			return "", 0, fmt.Errorf("store: input file: %w", err)
		}
		after, err := os.Stat(abs)
		if err != nil {
			return "", 0, fmt.Errorf("store: input file: %w", err)
		}
		if state := StateOf(fi); StateOf(after) == state && n == fi.Size() {
			if state.changed() < started.Add(-racyWindow).UnixNano() {
				s.stats.put(s, abs, statEntry{state, d})
			}
			return d, n, nil
		}
		fi = after
	}
	return "", 0, fmt.Errorf("store: input %s changed while it was read: wait until it is complete", path)
}

// KnownFile is HashFile for files that need not be read. It reports false for
// others, and for what is not a file.
func (s *Store) KnownFile(path string) (Digest, int64, bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", 0, false
	}
	fi, err := os.Stat(abs)
	if err != nil || !fi.Mode().IsRegular() {
		return "", 0, false
	}
	e, ok := s.stats.get(s, abs)
	if !ok || e.FileState != StateOf(fi) {
		return "", 0, false
	}
	return e.digest, fi.Size(), true
}

func hashInput(ctx context.Context, path string) (Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	pooled := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(pooled)
	buf := pooled[:]
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return "", n, err
		}
		k, err := f.Read(buf)
		h.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			return digestOf(h), n, nil
		}
		if err != nil {
			return "", n, err
		}
	}
}

func (c *statCache) path(s *Store) string { return s.path("statcache") }

func (c *statCache) load(s *Store) {
	if c.loaded {
		return
	}
	c.loaded = true
	c.entries = map[string]statEntry{}
	f, err := os.Open(c.path(s))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.warn(c.path(s), "cannot be read (%v); inputs are hashed again", err)
		}
		return
	}
	defer f.Close()
	bad := 0
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		c.lines++
		path, e, ok := parseStatLine(sc.Bytes())
		if !ok {
			bad++
			continue
		}
		c.entries[path] = e
	}
	if bad > 0 || sc.Err() != nil {
		s.warn(c.path(s), "holds damaged records; the files they stood for are hashed again")
	}
}

func parseStatLine(line []byte) (string, statEntry, bool) {
	fields, ok := splitLine(line, 6)
	if !ok {
		return "", statEntry{}, false
	}
	path, ok := unquoteField(fields[0])
	var n [4]int64
	for i := range n {
		v, okInt := parseInt(fields[i+1])
		n[i], ok = v, ok && okInt
	}
	d := Digest(fields[5])
	e := statEntry{FileState{id: fileID{size: n[0], mtime: n[1], inode: uint64(n[3])}, ctime: n[2]}, d}
	return path, e, ok && d.Valid()
}

func statLine(b []byte, path string, e statEntry) []byte {
	return appendLine(b, quoteField(path), intField(e.id.size), intField(e.id.mtime),
		intField(e.ctime), intField(int64(e.id.inode)), []byte(e.digest))
}

func (c *statCache) get(s *Store, path string) (statEntry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(s)
	e, ok := c.entries[path]
	return e, ok
}

func (c *statCache) put(s *Store, path string, e statEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(s)
	c.entries[path] = e
	c.tail = statLine(c.tail, path, e)
}

// flush appends what is new, or writes the file anew where most lines of it
// have been replaced.
func (c *statCache) flush(s *Store) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tail) == 0 {
		return nil
	}
	if err := s.prepare(); err != nil {
		return err
	}
	lines := slices.Clone(c.tail)
	c.tail = nil
	if c.lines > 1000 && c.lines > 2*len(c.entries) {
		var all []byte
		for path, e := range c.entries {
			all = statLine(all, path, e)
		}
		c.lines = len(c.entries)
		return s.replaceFile(c.path(s), all, false)
	}
	return s.writeErr(appendFile(c.path(s), lines))
}
