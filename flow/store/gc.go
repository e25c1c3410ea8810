package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// GCOptions says what a garbage collection keeps. Always kept are the actions
// that a recipe's stages point to, those of kept runs, and those in Keep, with
// their blobs and conflict records.
type GCOptions struct {
	KeepRuns  int           // keep the newest N runs; 0 keeps all
	OlderThan time.Duration // remove nothing younger than this; 0 means no age is young
	Keep      []string      // further action keys to keep: locks, pins
	DryRun    bool          // report only
}

// GCReport counts what a garbage collection removed, or would remove.
type GCReport struct {
	Runs, Actions, Blobs, Trees, Work int
	Bytes                             int64 // size of the removed blobs
	KeptActions, KeptBlobs            int
	KeptBytes                         int64
}

// GC removes what nothing refers to any more. It needs the store for itself and
// returns ErrBusy when another process does not let go of it in time; no other
// method of s may run meanwhile.
func (s *Store) GC(ctx context.Context, opts GCOptions) (GCReport, error) {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return GCReport{}, nil
	}
	if opts.DryRun {
		return s.collect(ctx, opts)
	}
	if err := s.prepare(); err != nil {
		return GCReport{}, err
	}
	s.flushStats() // gc must work on a full disk
	release, err := s.exclusive(ctx)
	if err != nil {
		return GCReport{}, err
	}
	s.sweepTmp()
	_ = os.Remove(s.path("actions", "index")) // of older programs
	rep, err := s.collect(ctx, opts)
	s.manifests.Clear()
	s.verified.Clear()
	return rep, errors.Join(err, release())
}

// exclusive trades the shared lock for the exclusive one.
func (s *Store) exclusive(ctx context.Context) (release func() error, err error) {
	s.ready.Lock()
	defer s.ready.Unlock()
	if s.noLocking {
		return func() error { return nil }, nil
	}
	if s.lock != nil {
		if err := s.lock.Close(); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.dir, err)
		}
		s.lock = nil
	}
	wait, cancel := context.WithTimeout(ctx, s.opts.LockWait)
	defer cancel()
	l := flock.New(s.path("lock"))
	if ok, err := l.TryLockContext(wait, 10*time.Millisecond); !ok {
		_ = l.Close()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("%w: wait until its runs are done", ErrBusy)
		}
		return nil, errors.Join(fmt.Errorf("store %s: %w", s.dir, err), s.acquireLocked())
	}
	return func() error {
		s.ready.Lock()
		defer s.ready.Unlock()
		return errors.Join(l.Close(), s.acquireLocked())
	}, nil
}

// collector holds the state of one collection.
type collector struct {
	s     *Store
	opts  GCOptions
	now   time.Time
	keys  map[string]bool // actions to keep
	blobs map[Digest]bool // blobs to keep
	trees map[string]bool // folders in trees/ to keep
	rep   GCReport
}

func (s *Store) collect(ctx context.Context, opts GCOptions) (GCReport, error) {
	c := &collector{
		s: s, opts: opts, now: s.now(),
		keys: map[string]bool{}, blobs: map[Digest]bool{}, trees: map[string]bool{},
	}
	for _, k := range opts.Keep {
		c.keys[k] = true
	}
	// Marking reads everything before the first removal, so that an error
	// leaves the store as it was.
	steps := []func() error{c.markRuns, c.markPointers, c.actions, c.sweepBlobs, c.sweepTrees, c.sweepWork}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return c.rep, err
		}
		if err := step(); err != nil {
			return c.rep, err
		}
	}
	return c.rep, nil
}

func (c *collector) young(t time.Time) bool {
	return c.opts.OlderThan > 0 && c.now.Sub(t) < c.opts.OlderThan
}

func (c *collector) remove(path string) error {
	if c.opts.DryRun {
		return nil
	}
	return c.s.writeErr(removeAll(path))
}

func (c *collector) markRuns() error {
	runs, damaged, err := c.s.runs()
	if err != nil {
		return err
	}
	for i, r := range runs {
		newest := c.opts.KeepRuns <= 0 || i >= len(runs)-c.opts.KeepRuns
		if newest || c.young(r.Started) {
			for _, key := range r.Actions {
				c.keys[key] = true
			}
			if len(r.Actions) == 0 { // it was killed: what it has made stands in its events
				if err := c.markNamed(r.ID, eventsFile); err != nil {
					return err
				}
			}
			continue
		}
		c.rep.Runs++
		if err := c.remove(c.s.path("runs", r.ID)); err != nil {
			return err
		}
	}
	for _, id := range damaged {
		c.s.warn(c.s.path("runs", id), "the record of this run is damaged; all results that it still names are kept until you delete this folder")
		if err := errors.Join(c.markNamed(id, recordFile), c.markNamed(id, eventsFile)); err != nil {
			return err
		}
	}
	return nil
}

// markNamed keeps every action whose key stands in quotation marks in a file of a run,
// whatever else is in it.
func (c *collector) markNamed(id, name string) error {
	f, err := os.Open(c.s.path("runs", id, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	b := bufio.NewReader(f)
	for long := false; ; {
		word, err := b.ReadSlice('"')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = true
			continue
		}
		if key := string(bytes.TrimSuffix(word, []byte{'"'})); !long && checkKey(key) == nil {
			c.keys[key] = true
		}
		if long = false; errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("store: run %s: %w", id, err)
		}
	}
}

func (c *collector) markPointers() error {
	return c.s.eachLastFile(func(f *lastFile) {
		for _, p := range f.pointers {
			c.keys[p.Key] = true
		}
		if f.bad > 0 {
			c.s.warn(f.path, "%d damaged records: the results that these stages of %s had last are kept only if a run names them", f.bad, f.recipe)
		}
	})
}

// actions drops entries that nothing needs and marks the blobs of the others.
func (c *collector) actions() error {
	dirs, err := readDirNames(c.s.path("actions"))
	if err != nil {
		return err
	}
	var doomed []string
	for _, d := range dirs {
		if len(d) != 2 {
			continue
		}
		names, err := readDirNames(c.s.path("actions", d))
		if err != nil {
			return err
		}
		for _, n := range names {
			path := c.s.path("actions", d, n)
			base, ok := cutJSON(n)
			key, _, isConflict := strings.Cut(base, conflictMark)
			if !ok || checkKey(key) != nil {
				continue
			}
			fi, err := os.Lstat(path)
			if err != nil {
				return fmt.Errorf("store: %w", err)
			}
			if !c.keys[key] && !c.young(fi.ModTime()) {
				doomed = append(doomed, path)
				continue
			}
			var a *Action
			if isConflict {
				a, err = c.s.readConflict(key, path)
			} else {
				c.keys[key] = true
				c.rep.KeptActions++
				a, err = c.s.loadAction(key)
			}
			if err != nil {
				return err
			}
			if a != nil {
				c.mark(a)
			}
		}
	}
	for _, path := range doomed {
		c.rep.Actions++
		if err := c.remove(path); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) mark(a *Action) {
	for _, o := range a.Outputs {
		c.blobs[o.Digest] = true
		if o.Kind != KindDir {
			continue
		}
		c.trees[o.Digest.Hex()] = true
		// A tree that cannot be read is a miss; its files are made again.
		entries, _ := c.s.Tree(o.Digest)
		for _, e := range entries {
			if e.Digest != "" {
				c.blobs[e.Digest] = true
			}
		}
	}
}

func (c *collector) sweepBlobs() error {
	return c.s.eachBlob(func(path string, d Digest, fi fs.FileInfo) error {
		if c.blobs[d] || c.young(fi.ModTime()) {
			c.rep.KeptBlobs++
			c.rep.KeptBytes += fi.Size()
			return nil
		}
		c.rep.Blobs++
		c.rep.Bytes += fi.Size()
		return c.remove(path)
	})
}

// eachBlob calls fn for every file that is named like a blob.
func (s *Store) eachBlob(fn func(path string, d Digest, fi fs.FileInfo) error) error {
	err := filepath.WalkDir(s.path("blobs", "sha256"), func(p string, de fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no blob yet, or one that was replaced meanwhile
		}
		if err != nil || de.IsDir() {
			return err
		}
		d := Digest(digestPrefix + de.Name())
		fi, err := de.Info()
		if errors.Is(err, fs.ErrNotExist) || !d.Valid() {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(p, d, fi)
	})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (c *collector) sweepTrees() error {
	names, err := readDirNames(c.s.path("trees"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if c.trees[n] {
			continue
		}
		c.rep.Trees++
		if err := c.remove(c.s.path("trees", n)); err != nil {
			return err
		}
	}
	return nil
}

// sweepWork drops scratch whose action is published, and scratch that nobody
// has touched for long. What is left belongs to runs that may go on.
func (c *collector) sweepWork() error {
	names, err := readDirNames(c.s.path("work"))
	if err != nil {
		return err
	}
	for _, n := range names {
		fi, err := os.Lstat(c.s.path("work", n))
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		done := false
		if checkKey(n) == nil {
			_, done, err = c.s.GetAction(n)
			if err != nil {
				return err
			}
		}
		if !done && (c.opts.OlderThan == 0 || c.young(fi.ModTime())) {
			continue
		}
		c.rep.Work++
		if err := c.remove(c.s.path("work", n)); err != nil {
			return err
		}
	}
	return nil
}
