package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// blobPath returns where the blob d lies. d must be valid.
func (s *Store) blobPath(d Digest) string {
	h := d.Hex()
	return s.path("blobs", "sha256", h[:2], h)
}

// fileID tells one state of a file from another.
type fileID struct {
	size, mtime int64
	inode       uint64
}

// verifiedFile is a state of a file that had the content of a digest.
type verifiedFile struct {
	d  Digest
	id fileID
}

func idOf(fi fs.FileInfo) fileID {
	return fileID{size: fi.Size(), mtime: fi.ModTime().UnixNano(), inode: inode(fi)}
}

// PutFile moves the file at path into the store and returns its digest and
// size in bytes. The file is consumed: on success it is gone from path. A file
// of another file system is copied, which is slower; stage in TempDir.
func (s *Store) PutFile(path string, dur Durability) (Digest, int64, error) {
	if err := s.prepare(); err != nil {
		return "", 0, err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return "", 0, fmt.Errorf("store: publish: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return "", 0, fmt.Errorf("store: publish %s: is a %s, want a regular file", path, kindOf(fi.Mode()))
	}
	d, size, err := digestFile(path)
	if err != nil {
		return "", 0, fmt.Errorf("store: publish: %w", err)
	}
	return d, size, s.adopt(path, d, size, dur)
}

// PutBytes stores b as a blob.
func (s *Store) PutBytes(b []byte, dur Durability) (Digest, int64, error) {
	if err := s.prepare(); err != nil {
		return "", 0, err
	}
	d, size := DigestBytes(b), int64(len(b))
	if s.checkBlob(d, size) == nil {
		return d, size, nil
	}
	tmp, err := s.writeTemp(b, false)
	if err != nil {
		return "", 0, err
	}
	return d, size, s.adopt(tmp, d, size, dur)
}

// adopt publishes a staged file whose digest and size are known.
func (s *Store) adopt(path string, d Digest, size int64, dur Durability) error {
	if s.checkBlob(d, size) == nil {
		// Same content is already there. It may have been published by a
		// relaxed caller, so a durable one syncs it now.
		if s.sync(dur) {
			if err := s.syncBlob(d); err != nil {
				return err
			}
		}
		return s.writeErr(os.Remove(path))
	}
	// Some file systems know neither modes nor times. The first guards against
	// mistakes, and without the second a blob is hashed when it is used.
	_ = os.Chmod(path, 0o444)
	_ = stamp(path, d, size, s.now())
	if s.sync(dur) {
		if err := syncFile(path); err != nil {
			return s.writeErr(err)
		}
	}
	s.fault(FaultBlobStaged)
	dst := s.blobPath(d)
	if err := s.move(path, dst, d, size, s.sync(dur)); err != nil {
		return s.writeErr(err)
	}
	if s.sync(dur) {
		if err := atomicfile.SyncDir(filepath.Dir(dst)); err != nil {
			return s.writeErr(err)
		}
	}
	if fi, err := os.Lstat(dst); err == nil {
		s.verified.Store(verifiedFile{d, idOf(fi)}, true)
	}
	s.fault(FaultBlobPublished)
	return nil
}

func (s *Store) syncBlob(d Digest) error {
	p := s.blobPath(d)
	if err := syncFile(p); err != nil {
		return s.writeErr(err)
	}
	return s.writeErr(atomicfile.SyncDir(filepath.Dir(p)))
}

// move renames a stamped file into place; across file systems it copies into
// tmp/ first, so that the last step is a rename all the same.
func (s *Store) move(path, dst string, d Digest, size int64, sync bool) error {
	err := rename(path, dst, sync)
	if err != nil {
		if fi, statErr := os.Lstat(dst); statErr == nil && fi.IsDir() {
			// Damage of an odd kind: a folder where the blob belongs.
			err = errors.Join(removeAll(dst), rename(path, dst, sync))
		}
	}
	if err == nil || !crossDevice(err) {
		return err
	}
	dir, err := os.MkdirTemp(s.path("tmp"), "copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, "blob")
	if err := copyFile(path, tmp, 0o444); err != nil {
		return err
	}
	if got, _, err := digestFile(tmp); err != nil {
		return err
	} else if got != d {
		return fmt.Errorf("%s changed while it was published: %w", path, ErrCorrupt)
	}
	_ = stamp(tmp, d, size, s.now()) // as in adopt
	if sync {
		if err := syncFile(tmp); err != nil {
			return err
		}
	}
	if err := rename(tmp, dst, sync); err != nil {
		return err
	}
	return os.Remove(path)
}

// BlobWriter hashes what is written to it, so that publishing needs no second
// read. End it with Commit or Discard; Discard after Commit does nothing.
type BlobWriter struct {
	s    *Store
	f    *os.File
	h    hash.Hash
	size int64
}

// NewWriter starts a blob in the store's staging area.
func (s *Store) NewWriter() (*BlobWriter, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.path("tmp"), "b-")
	if err != nil {
		return nil, s.writeErr(err)
	}
	return &BlobWriter{s: s, f: f, h: sha256.New()}, nil
}

// Write appends p to the blob.
func (w *BlobWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.h.Write(p[:n])
	w.size += int64(n)
	return n, w.s.writeErr(err)
}

// Digest is that of what was written so far.
func (w *BlobWriter) Digest() Digest { return digestOf(w.h) }

// Commit publishes the blob and returns its digest and size in bytes.
func (w *BlobWriter) Commit(dur Durability) (Digest, int64, error) {
	if err := w.f.Close(); err != nil {
		os.Remove(w.f.Name())
		return "", 0, w.s.writeErr(err)
	}
	d := digestOf(w.h)
	if err := w.s.adopt(w.f.Name(), d, w.size, dur); err != nil {
		os.Remove(w.f.Name())
		return "", 0, err
	}
	return d, w.size, nil
}

// Discard drops the blob.
func (w *BlobWriter) Discard() {
	if w.f.Close() == nil { // not committed
		os.Remove(w.f.Name())
	}
}

// Has reports whether the blob d is present and sound.
func (s *Store) Has(d Digest) bool { return s.checkBlob(d, -1) == nil }

// Path returns the file that holds the blob d, for readers that want a file.
// The file is read-only and must not be changed. A missing blob is ErrNotFound,
// a damaged one ErrCorrupt.
func (s *Store) Path(d Digest) (string, error) {
	if err := s.checkBlob(d, -1); err != nil {
		return "", err
	}
	return s.blobPath(d), nil
}

// VerifiedPath is Path for a reader that cannot tell damage from content: the file is
// hashed unless this process has done so already. Path finds only what a stat call shows,
// not a disk that changes bytes by itself.
func (s *Store) VerifiedPath(d Digest) (string, error) {
	if err := s.checkContent(d, -1, true); err != nil {
		return "", err
	}
	return s.blobPath(d), nil
}

// OpenBlob opens the blob d for reading. The reader hashes what it hands out
// and returns ErrCorrupt in place of io.EOF when the content is not d's.
func (s *Store) OpenBlob(d Digest) (io.ReadCloser, error) {
	p, err := s.Path(d)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &blobReader{s: s, f: f, d: d, h: sha256.New()}, nil
}

// ReadBlob returns the content of the blob d, checked against its digest.
func (s *Store) ReadBlob(d Digest) ([]byte, error) {
	p, err := s.Path(d)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(p)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if DigestBytes(b) != d {
		return nil, s.damaged(d)
	}
	return b, nil
}

type blobReader struct {
	s *Store
	f *os.File
	d Digest
	h hash.Hash
}

func (r *blobReader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	r.h.Write(p[:n])
	if err == io.EOF && digestOf(r.h) != r.d {
		err = r.s.damaged(r.d)
	}
	return n, err
}

func (r *blobReader) Close() error { return r.f.Close() }

// damaged reports a blob whose content is wrong although its times look right,
// and unstamps it, so that the next look in any process finds the damage too.
func (s *Store) damaged(d Digest) error {
	p := s.blobPath(d)
	if fi, err := os.Lstat(p); err == nil {
		s.verified.Delete(verifiedFile{d, idOf(fi)})
		if !s.opts.ReadOnly && stamped(fi, d) {
			t := fi.ModTime().Add(1)
			_ = os.Chtimes(p, t, t)
		}
	}
	s.warn(p, "does not hold what its name says; the stage that made it will run again")
	return fmt.Errorf("store: blob %s: %w: run the recipe again and it is made once more", d, ErrCorrupt)
}

// checkBlob returns nil when the blob d is there and sound, ErrNotFound or
// ErrCorrupt otherwise. size is the expected size, -1 when unknown. The usual
// cost is one stat call.
func (s *Store) checkBlob(d Digest, size int64) error {
	return s.checkContent(d, size, s.opts.VerifyReads)
}

// checkContent is checkBlob that hashes, once in a process, also what a stat call shows
// to be sound.
func (s *Store) checkContent(d Digest, size int64, hash bool) error {
	if !d.Valid() {
		return fmt.Errorf("store: %q is not a digest: %w", string(d), ErrNotFound)
	}
	p := s.blobPath(d)
	fi, err := os.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: blob %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("store: blob %s: %w", d, err)
	}
	if !fi.Mode().IsRegular() || size >= 0 && fi.Size() != size {
		s.warn(p, "is not the file that was published (%d bytes, want %d); the stage that made it will run again", fi.Size(), size)
		return fmt.Errorf("store: blob %s: %w", d, ErrCorrupt)
	}
	stampOK := stamped(fi, d)
	if stampOK && !hash {
		return nil
	}
	if _, ok := s.verified.Load(verifiedFile{d, idOf(fi)}); ok {
		return nil
	}
	got, n, err := digestFile(p)
	if err != nil {
		return fmt.Errorf("store: blob %s: %w", d, err)
	}
	if got != d {
		return s.damaged(d)
	}
	if !stampOK && !s.opts.ReadOnly {
		// A copy of the store, or a touched file. It is sound: stamp it again
		// so that the next process need not hash it. Failing is harmless.
		if stamp(p, d, n, s.now()) == nil {
			if again, err := os.Lstat(p); err == nil {
				fi = again
			}
		}
	}
	s.verified.Store(verifiedFile{d, idOf(fi)}, true)
	return nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m.IsRegular():
		return "file"
	}
	return "special file"
}
