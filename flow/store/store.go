package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// layoutVersion changes when an older program could misread the store.
const layoutVersion = 1

var (
	// ErrReadOnly is returned by every writing method of a store that was
	// opened read-only or whose file system refuses writes.
	ErrReadOnly = errors.New("the store is read-only")
	// ErrCorrupt marks content that does not match its digest or checksum.
	ErrCorrupt = errors.New("corrupt content")
	// ErrNotFound marks a blob, tree or run that the store does not hold.
	ErrNotFound = errors.New("not in the store")
	// ErrBusy is returned when another process holds a lock for too long.
	ErrBusy = errors.New("another process is using the store")
)

// Warning reports damage that the store has worked around.
type Warning struct {
	Path    string // the file concerned, absolute or relative as the store's folder is
	Problem string // what is wrong and what follows, one sentence
}

func (w Warning) String() string { return w.Path + ": " + w.Problem }

// Options adjusts a store. The zero value is the usual one.
type Options struct {
	ReadOnly    bool          // refuse every write with ErrReadOnly
	Sync        SyncPolicy    // overrides the durability that callers ask for
	VerifyReads bool          // hash each blob when it is first used in this process
	LockWait    time.Duration // how long Open waits for a running gc; 0 means 30 s

	Warn  func(Warning)      // told about damage; may be called from any goroutine
	Fault func(point string) // called between the steps of publishing, at the points named Fault...
	Now   func() time.Time   // the clock, for tests; nil means time.Now
}

// Store is a folder of blobs, actions and histories. Its methods are safe for
// use by several goroutines, and several processes may use one folder.
type Store struct {
	dir  string
	opts Options
	now  func() time.Time

	ready     sync.Mutex // guards prepared and lock
	prepared  bool
	lock      *flock.Flock
	noLocking bool // the file system has no locks

	verified  sync.Map // verifiedFile: those that hashed right in this process
	manifests sync.Map // Digest -> []TreeEntry, parsed and checked
	lasts     lastFiles
	stats     statCache
}

// Open returns the store at dir, usually ".distillflow" beside a recipe. A
// folder that does not exist yet is an empty store; it is created by the first
// write. Close the store when done.
func Open(dir string, opts Options) (*Store, error) {
	if dir == "" {
		return nil, errors.New("store: the folder's name is empty")
	}
	if opts.LockWait == 0 {
		opts.LockWait = 30 * time.Second
	}
	s := &Store{dir: filepath.Clean(dir), opts: opts, now: opts.Now}
	if s.now == nil {
		s.now = time.Now
	}
	fi, err := os.Stat(s.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("store: %w", err)
	case !fi.IsDir():
		return nil, fmt.Errorf("store %s: is a file, want a folder", s.dir)
	}
	if err := s.checkVersion(); err != nil {
		return nil, err
	}
	if err := s.acquire(); err != nil {
		return nil, err
	}
	return s, nil
}

// Dir returns the store's folder.
func (s *Store) Dir() string { return s.dir }

// Close writes what is buffered (the stat cache) and gives the store's lock
// back. A process that dies without Close loses time and nothing else.
func (s *Store) Close() error {
	var errs []error
	s.flushStats()
	s.ready.Lock()
	defer s.ready.Unlock()
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	s.prepared = false
	return errors.Join(errs...)
}

// flushStats writes the stat cache; failing to is worth a warning only.
func (s *Store) flushStats() {
	if s.opts.ReadOnly {
		return
	}
	if err := s.stats.flush(s); err != nil {
		s.warn(s.stats.path(s), "cannot be written (%v); inputs will be hashed again", err)
	}
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *Store) warn(path, format string, args ...any) {
	if s.opts.Warn != nil {
		s.opts.Warn(Warning{Path: path, Problem: fmt.Sprintf(format, args...)})
	}
}

func (s *Store) checkVersion() error {
	path := s.path("version")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	fields, ok := splitLine(b, 2)
	var v int64
	if ok {
		v, ok = parseInt(fields[1])
	}
	if !ok {
		// The number guards against newer layouts only; a damaged file must
		// not lock a user out of a sound store.
		s.warn(path, "is damaged; it is taken as version %d", layoutVersion)
		return nil
	}
	if v > layoutVersion {
		return fmt.Errorf("store %s: has layout version %d, this program knows up to %d: use a newer distillflow or another --store", s.dir, v, layoutVersion)
	}
	return nil
}

// prepare creates the folders before the first write.
func (s *Store) prepare() error {
	if s.opts.ReadOnly {
		return fmt.Errorf("store %s: %w", s.dir, ErrReadOnly)
	}
	s.ready.Lock()
	defer s.ready.Unlock()
	if s.prepared {
		return nil
	}
	for _, d := range []string{"blobs/sha256", "actions", "trees", "last", "runs", "work", "locks", "tmp"} {
		if err := os.MkdirAll(s.path(filepath.FromSlash(d)), 0o777); err != nil {
			return s.writeErr(err)
		}
	}
	// The lock comes before the first file in tmp/, which a gc would sweep.
	if s.lock == nil {
		if err := s.acquireLocked(); err != nil {
			return err
		}
	}
	version := appendLine(nil, []byte("distillflow-store"), intField(layoutVersion))
	if b, err := os.ReadFile(s.path("version")); err != nil || string(b) != string(version) {
		if err := s.createStore(version); err != nil {
			return err
		}
	}
	s.prepared = true
	return nil
}

// createStore writes the small files of a new store and makes its folders
// durable, without which no durable blob below them would be.
func (s *Store) createStore(version []byte) error {
	if _, err := os.Lstat(s.path(".gitignore")); err != nil {
		if err := s.replaceFile(s.path(".gitignore"), []byte("*\n"), false); err != nil {
			return err
		}
	}
	if err := s.replaceFile(s.path("version"), version, s.sync(Durable)); err != nil {
		return err
	}
	if !s.sync(Durable) {
		return nil
	}
	return s.writeErr(errors.Join(atomicfile.SyncDir(s.path("blobs")), atomicfile.SyncDir(filepath.Dir(s.dir))))
}

func (s *Store) acquire() error {
	s.ready.Lock()
	defer s.ready.Unlock()
	return s.acquireLocked()
}

// acquireLocked takes the shared lock that keeps gc away. Whoever is alone with
// the store for a moment also empties tmp/, where killed processes left their
// staging.
func (s *Store) acquireLocked() error {
	path := s.path("lock")
	flag := os.O_CREATE | os.O_RDWR
	if s.opts.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return nil // nobody can run gc on a store without a lock file and writes
		}
		flag = os.O_RDONLY
	}
	l := flock.New(path, flock.SetFlag(flag), flock.SetPermissions(0o666))
	if !s.opts.ReadOnly {
		alone, err := l.TryLock()
		switch {
		case refused(err):
			// Readable by us, but not to be written: a lock for reading keeps a gc
			// of its owner away, and the first write will say that it is not allowed.
			l = flock.New(path, flock.SetFlag(os.O_RDONLY))
		case err == nil && alone:
			s.sweepTmp()
			if err := l.Unlock(); err != nil {
				return fmt.Errorf("store %s: %w", s.dir, err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.LockWait)
	defer cancel()
	ok, err := l.TryRLockContext(ctx, 10*time.Millisecond)
	switch {
	case ok:
		s.lock = l
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("store %s: %w: waited %s for its lock: is `cache gc` running?", s.dir, ErrBusy, s.opts.LockWait)
	case refused(err) || errors.Is(err, fs.ErrNotExist):
		return nil // not even readable, or not there: reading needs no lock
	}
	s.warn(path, "cannot be locked (%v): do not run `cache gc` while a recipe runs", err)
	s.noLocking = true
	return nil
}

// refused reports whether an error means that the folder must not be written.
func refused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

func (s *Store) sweepTmp() {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return
	}
	for _, e := range entries {
		removeAll(s.path("tmp", e.Name()))
	}
}

// TempDir creates a new folder in the store's tmp/ for a stage to write into.
// It lies in the file system of the blobs, so that publishing is a rename.
// Remove it when done; a leftover is swept when nobody uses the store.
func (s *Store) TempDir() (string, error) {
	if err := s.prepare(); err != nil {
		return "", err
	}
	d, err := os.MkdirTemp(s.path("tmp"), "stage-")
	return d, s.writeErr(err)
}

// WorkDir creates, where missing, the scratch folder of an action key. It
// outlives a crash, so that a training stage finds its checkpoints again.
func (s *Store) WorkDir(key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if err := s.prepare(); err != nil {
		return "", err
	}
	d := s.path("work", key)
	return d, s.writeErr(os.MkdirAll(d, 0o777))
}

// RemoveWork deletes the scratch folder of an action key, if there is one.
func (s *Store) RemoveWork(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("store %s: %w", s.dir, ErrReadOnly)
	}
	return s.writeErr(removeAll(s.path("work", key)))
}

// removeAll deletes path even where a stage has made its folders read-only.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o777)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// checkKey keeps keys usable as file names on every system.
func checkKey(key string) error {
	if len(key) < 4 || len(key) > 128 {
		return fmt.Errorf("store: key %q: want 4 to 128 characters", key)
	}
	for i := 0; i < len(key); i++ {
		c := key[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return fmt.Errorf("store: key %q: want lower-case letters, digits, - and _ only", key)
		}
	}
	return nil
}
