// Package atomicfile replaces files as a whole: a reader sees the old content or
// the new, never half of it, and a failed write leaves the old.
package atomicfile

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Durability says what must survive a power failure.
type Durability int

const (
	// Relaxed leaves it to the system when the content reaches the disk: for what
	// can be made again.
	Relaxed Durability = iota
	// Durable returns once content and name are on the disk: for what cost money
	// or hours.
	Durable
)

// Write replaces path by what write produces, with the given permissions where the
// file system has any. The folder must exist. The content is buffered, written beside
// path and renamed. Errors of write come back as they are.
func Write(path string, mode fs.FileMode, d Durability, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // may be closed already; the write has failed either way
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	b := bufio.NewWriterSize(f, 1<<16)
	if err := errors.Join(write(b), b.Flush()); err != nil {
		return err
	}
	_ = f.Chmod(mode) // where there are no modes it stays as CreateTemp made it: for the user alone
	if d == Durable {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d == Durable {
		return SyncDir(filepath.Dir(path))
	}
	return nil
}

// WriteBytes is [Write] of data at hand.
func WriteBytes(path string, mode fs.FileMode, d Durability, data []byte) error {
	return Write(path, mode, d, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// SyncDir makes the names in dir durable. File systems that cannot sync a folder
// say EINVAL or ENOTSUP; there is nothing more to do on those.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
