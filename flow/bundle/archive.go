package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/distillflow/distillflow/flow/store"
)

// item is an entry and where its bytes come from.
type item struct {
	Entry
	write func(w io.Writer) error
}

// inMemory is an item whose bytes are at hand.
func inMemory(name string, b []byte) item {
	return item{Entry{name, int64(len(b)), store.DigestBytes(b)}, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}}
}

// copied is an item whose bytes are read when they are written.
func copied(e Entry, open func() (io.ReadCloser, error)) item {
	return item{e, func(w io.Writer) error {
		r, err := open()
		if err != nil {
			return err
		}
		_, err = io.Copy(w, r)
		return errors.Join(err, r.Close())
	}}
}

// writeArchive writes a manifest and the items it lists. Times, owners and the
// number of cores leave no trace in the bytes.
func writeArchive(ctx context.Context, w io.Writer, m *Manifest, items []item) error {
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Path, b.Path) })
	m.Entries = make([]Entry, len(items))
	for i, it := range items {
		m.Entries[i] = it.Entry
	}
	head, err := m.encode()
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	t := tar.NewWriter(z)
	err = writeItem(t, inMemory(manifestName, head))
	for i := 0; err == nil && i < len(items); i++ {
		if err = ctx.Err(); err == nil {
			err = writeItem(t, items[i])
		}
	}
	if err != nil {
		_ = z.Close() // the file is thrown away
		return err
	}
	return errors.Join(t.Close(), z.Close())
}

func writeItem(t *tar.Writer, it item) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: it.Path, Size: it.Bytes, Mode: 0o644}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("packing %s: %w", it.Path, err)
	}
	sum := newSummed(t)
	err := it.write(sum)
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && (sum.n != it.Bytes || sum.digest() != it.Digest) {
		err = errors.New("it changed while it was packed; try again once it stays as it is")
	}
	if err != nil {
		return fmt.Errorf("packing %s: %w", it.Path, err)
	}
	return nil
}

// summed hashes and counts what is written through it.
type summed struct {
	w io.Writer
	h hash.Hash
	n int64
}

func newSummed(w io.Writer) *summed { return &summed{w: w, h: sha256.New()} }

// Write implements [io.Writer].
func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.h.Write(p[:n])
	s.n += int64(n)
	return n, err
}

func (s *summed) digest() store.Digest {
	return store.Digest("sha256:" + hex.EncodeToString(s.h.Sum(nil)))
}

// archive reads a bundle entry by entry.
type archive struct {
	z *zstd.Decoder
	t *tar.Reader
	m *Manifest
	i int // of the entry that comes next
}

// maxWindow bounds the memory that a bundle can make the decoder take.
const maxWindow = 64 << 20

// openArchive reads the manifest. Close the archive.
func openArchive(r io.Reader) (*archive, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("not a zstd file: %w", err)
	}
	a := &archive{z: z, t: tar.NewReader(z)}
	if err := a.manifest(); err != nil {
		z.Close()
		return nil, err
	}
	return a, nil
}

func (a *archive) manifest() error {
	h, err := a.t.Next()
	if err != nil || h.Name != manifestName || h.Typeflag != tar.TypeReg {
		return fmt.Errorf("not a bundle of distillflow: it does not begin with a %s", manifestName)
	}
	if h.Size > maxManifest {
		return fmt.Errorf("its manifest has %d bytes, more than the limit of %d", h.Size, maxManifest)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, a.t); err != nil {
		return fmt.Errorf("reading its manifest: %w", err)
	}
	a.m, err = parseManifest(b.Bytes())
	return err
}

func (a *archive) close() { a.z.Close() }

// next gives the next entry, and io.EOF after the last one.
func (a *archive) next() (Entry, error) {
	h, err := a.t.Next()
	switch {
	case errors.Is(err, io.EOF) && a.i == len(a.m.Entries):
		return Entry{}, io.EOF
	case errors.Is(err, io.EOF):
		return Entry{}, fmt.Errorf("it ends before %s: it was cut short", a.m.Entries[a.i].Path)
	case err != nil:
		return Entry{}, fmt.Errorf("it is damaged: %w", err)
	case a.i == len(a.m.Entries):
		return Entry{}, fmt.Errorf("it holds %q, which its manifest does not list", h.Name)
	}
	e := a.m.Entries[a.i]
	switch {
	case h.Name != e.Path:
		return e, fmt.Errorf("it holds %q where its manifest has %q", h.Name, e.Path)
	case h.Typeflag != tar.TypeReg:
		return e, fmt.Errorf("%q is a link or another thing that is not a regular file", h.Name)
	case h.Size != e.Bytes:
		return e, fmt.Errorf("%q has %d bytes, its manifest says %d", h.Name, h.Size, e.Bytes)
	}
	a.i++
	return e, nil
}

// copyTo writes the bytes of the entry that next gave, and checks them.
func (a *archive) copyTo(w io.Writer, e Entry) error {
	sum := newSummed(w)
	if _, err := io.Copy(sum, io.LimitReader(a.t, e.Bytes+1)); err != nil {
		return fmt.Errorf("unpacking %s: %w", e.Path, err)
	}
	if sum.n != e.Bytes || sum.digest() != e.Digest {
		return fmt.Errorf("%s does not have the content that the manifest promises: the bundle is damaged or was changed", e.Path)
	}
	return nil
}
