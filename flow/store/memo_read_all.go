package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// Records calls fn with every record in force, in the order of the files. Damaged
// ones are left out and forgotten, so that their requests are sent again; Stats
// counts them. It stops at the first error of fn.
func (m *Memo) Records(ctx context.Context, fn func(key [32]byte, value []byte) error) error {
	if err := m.Refresh(); err != nil {
		return err
	}
	type item struct {
		id  memoID
		loc memoLoc
	}
	m.mu.RLock()
	all := make([]item, 0, len(m.index))
	for id, loc := range m.index {
		all = append(all, item{id, loc})
	}
	m.mu.RUnlock()
	slices.SortFunc(all, func(a, b item) int { return cmp.Compare(a.loc, b.loc) })
	for _, it := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, value, ok, err := m.inForce(it.id)
		if err == nil && ok {
			err = fn(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Forget drops every record for which match is true and returns how many there
// were; their requests are sent again. It writes the segments concerned anew, and
// fails with [ErrBusy] if another process is writing to one of them. Processes that
// have the memo open keep what they know.
func (m *Memo) Forget(ctx context.Context, match func(key [32]byte, value []byte) bool) (n int, err error) {
	if err := m.Refresh(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.segments {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := m.forgetIn(i, match)
		n += k
		if err != nil {
			return n, fmt.Errorf("store: memo: %w", err)
		}
	}
	return n, m.reset()
}

// forgetIn writes a segment anew, under another name: those who read the old file
// go on with it, and find the new one by its name. The caller holds m.mu.
func (m *Memo) forgetIn(i int, match func(key [32]byte, value []byte) bool) (n int, err error) {
	g := m.segments[i]
	l := flock.New(g.path, flock.SetFlag(os.O_RDWR))
	defer l.Close()
	if ok, err := l.TryLock(); err != nil {
		return 0, err
	} else if !ok {
		return 0, fmt.Errorf("%w: wait until its run has ended (%s)", ErrBusy, g.path)
	}
	if err := m.scan(i); err != nil { // what its last writer added
		return 0, err
	}
	var offsets []int64
	add := func(l memoLoc) {
		if l.segment() == i {
			offsets = append(offsets, l.offset())
		}
	}
	for id, loc := range m.index {
		add(loc)
		for _, l := range m.more[id] {
			add(l)
		}
	}
	slices.Sort(offsets)
	var keep []io.Reader
	for _, off := range offsets {
		rec, value, err := g.read(m.codec, off)
		switch {
		case errors.Is(err, ErrCorrupt):
		case err != nil:
			return 0, err
		case match(rec.key, value):
			n++
		default:
			keep = append(keep, io.NewSectionReader(g.f, off, rec.size()))
		}
	}
	if n == 0 {
		return 0, nil
	}
	keep = slices.Insert(keep, 0, io.Reader(strings.NewReader(memoHeader)))
	err = atomicfile.Write(renewedName(g.path), 0o600, atomicfile.Durable, func(w io.Writer) error {
		_, err := io.Copy(w, io.MultiReader(keep...))
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, os.Remove(g.path)
}

// renewedName is another name for a segment that keeps its place among the others:
// the first record of a key is the one in force.
func renewedName(path string) string {
	dir, name := filepath.Split(path)
	stem := strings.TrimSuffix(name, ".dfm")
	if i := strings.LastIndexByte(stem, '-'); i > len("seg") {
		stem = stem[:i]
	}
	return dir + stem + "-" + randomName() + ".dfm"
}
