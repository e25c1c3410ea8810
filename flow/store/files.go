package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// Durability says whether a publishing step waits until the medium has the
// bytes.
type Durability bool

const (
	// Relaxed leaves flushing to the operating system. A killed process loses
	// nothing; a power failure may lose the result, which is then a miss.
	Relaxed Durability = false
	// Durable fsyncs files and their folders before the next step. Use it for
	// results that cost money or hours.
	Durable Durability = true
)

// SyncPolicy overrides what callers ask for.
type SyncPolicy int

const (
	SyncAuto   SyncPolicy = iota // as the caller of each step asks
	SyncAlways                   // every step is durable
	SyncNever                    // no step is: tests and throw-away stores
)

func (s *Store) sync(d Durability) bool {
	switch s.opts.Sync {
	case SyncAlways:
		return true
	case SyncNever:
		return false
	}
	return bool(d)
}

// stampNanos derives the nanosecond part of a blob's modification time from
// its digest and size. The seconds stay those of publishing, so that tools
// that clean up by age are not misled.
func stampNanos(d Digest, size int64) int64 {
	b := binary.BigEndian.AppendUint64([]byte(d), uint64(size))
	return int64(checksum(b) % 1e9)
}

func stamped(fi fs.FileInfo, d Digest) bool {
	return int64(fi.ModTime().Nanosecond()) == stampNanos(d, fi.Size())
}

func stamp(path string, d Digest, size int64, now time.Time) error {
	t := time.Unix(now.Unix(), stampNanos(d, size))
	return os.Chtimes(path, t, t)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// rename moves old to new and makes new's folder first where it is missing;
// the folder exists nearly always, so it is not tried before the rename.
func rename(old, new string, sync bool) error {
	err := os.Rename(old, new)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(new)
		if mkErr := os.MkdirAll(dir, 0o777); mkErr != nil {
			return mkErr
		}
		if sync {
			if syncErr := atomicfile.SyncDir(filepath.Dir(dir)); syncErr != nil {
				return syncErr
			}
		}
		err = os.Rename(old, new)
	}
	return err
}

// copyFile copies src to a new file dst.
func copyFile(src, dst string, mode fs.FileMode) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// writeTemp writes data to a new file in the store's tmp/ and returns its path.
func (s *Store) writeTemp(data []byte, sync bool) (string, error) {
	// Not os.CreateTemp, whose files nobody else may read: what is renamed into
	// the store has the permissions that the user's umask gives, so that a group
	// can share it.
	f, err := os.OpenFile(s.path("tmp", "w-"+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", s.writeErr(err)
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", s.writeErr(err)
	}
	return f.Name(), nil
}

// replaceFile writes data to path by way of tmp/ and a rename.
func (s *Store) replaceFile(path string, data []byte, sync bool) error {
	tmp, err := s.writeTemp(data, sync)
	if err != nil {
		return err
	}
	if err := rename(tmp, path, sync); err != nil {
		os.Remove(tmp)
		return s.writeErr(err)
	}
	if sync {
		return s.writeErr(atomicfile.SyncDir(filepath.Dir(path)))
	}
	return nil
}

// writeErr says what to do about the errors that a user can do something about.
func (s *Store) writeErr(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrReadOnly):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("store %s: the disk is full or the quota is used up (free space, run `cache gc`, or choose another --store): %w", s.dir, err)
	case refused(err):
		return fmt.Errorf("store %s: %w (choose a writable --store): %w", s.dir, ErrReadOnly, err)
	}
	return fmt.Errorf("store %s: %w", s.dir, err)
}
