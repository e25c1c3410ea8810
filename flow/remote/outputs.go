package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"gocloud.dev/blob"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// filesAtOnce bounds the files of one folder that are sent at a time. Each holds some
// parts in memory.
const filesAtOnce = 4

func blobObject(d store.Digest) string { return "v1/blobs/sha256/" + d.Hex()[:2] + "/" + d.Hex() }

// Push sees to it that the bucket holds an output of st: a blob of rows, or a folder
// with all its files. What is there already is not sent again.
func (b *Bucket) Push(ctx context.Context, st *store.Store, kind store.OutputKind, d store.Digest) error {
	if kind == store.KindDir {
		entries, err := st.Tree(d)
		if err != nil {
			return err
		}
		// The manifest last: where it is, the files are.
		err = eachFile(ctx, entries, filesAtOnce, func(ctx context.Context, e store.TreeEntry) error { return b.pushBlob(ctx, st, e.Digest) })
		if err != nil {
			return err
		}
	}
	return b.pushBlob(ctx, st, d)
}

// Fetch sees to it that st holds an output of the bucket, and checks the digest of
// everything that arrives. What st holds already is not asked for.
func (b *Bucket) Fetch(ctx context.Context, st *store.Store, kind store.OutputKind, d store.Digest) error {
	if err := b.fetchBlob(ctx, st, d, -1); err != nil || kind != store.KindDir {
		return err
	}
	entries, err := st.Tree(d)
	if err != nil {
		return err
	}
	return eachFile(ctx, entries, atOnce, func(ctx context.Context, e store.TreeEntry) error { return b.fetchBlob(ctx, st, e.Digest, e.Size) })
}

// eachFile calls do for every content of a folder, several at a time.
func eachFile(ctx context.Context, entries []store.TreeEntry, atOnce int, do func(context.Context, store.TreeEntry) error) error {
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(atOnce)
	seen := map[store.Digest]bool{}
	for _, e := range entries {
		if e.Digest == "" || seen[e.Digest] {
			continue
		}
		seen[e.Digest] = true
		g.Go(func() error {
			if err := do(ctx, e); err != nil {
				return fmt.Errorf("file %s: %w", e.Path, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (b *Bucket) pushBlob(ctx context.Context, st *store.Store, d store.Digest) error {
	file, err := st.Path(d)
	if err != nil {
		return err
	}
	fi, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	object := blobObject(d)
	there := false
	err = b.read(ctx, object, func(ctx context.Context, _ func()) error {
		a, err := b.b.Attributes(ctx, object)
		there = err == nil && a.Size == fi.Size() && !b.isDamaged(object)
		return err
	})
	if there || err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r, err := st.OpenBlob(d) // which finds damage at the end, before the object appears
	if err != nil {
		return err
	}
	defer r.Close()
	return b.write(ctx, object, b.upload, func(ctx context.Context, alive func()) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w, err := b.b.NewWriter(ctx, object, writer(false, fi.Size()))
		if err != nil {
			return err
		}
		if _, err := io.Copy(livingWriter{w, alive}, localReader{r}); err != nil {
			cancel() // else Close would publish what was sent
			_ = w.Close()
			return err
		}
		return w.Close()
	})
}

func (b *Bucket) fetchBlob(ctx context.Context, st *store.Store, d store.Digest, size int64) error {
	if !d.Valid() {
		return fmt.Errorf("%q is not a digest: %w", string(d), store.ErrCorrupt)
	}
	if st.Has(d) {
		return nil
	}
	w, err := st.NewWriter()
	if err != nil {
		return err
	}
	defer w.Discard()
	err = b.read(ctx, blobObject(d), func(ctx context.Context, alive func()) error {
		r, err := b.b.NewReader(ctx, blobObject(d), nil)
		if err != nil {
			return err
		}
		defer r.Close()
		if size >= 0 && r.Size() != size {
			return fmt.Errorf("has %d bytes, want %d: %w", r.Size(), size, store.ErrCorrupt)
		}
		if _, err = io.Copy(localWriter{w}, &livingReader{r, alive}); err != nil {
			return err
		}
		if w.Digest() != d {
			return fmt.Errorf("does not hold what its name says: %w", store.ErrCorrupt)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, _, err = w.Commit(store.Relaxed)
	return err
}

// livingWriter tells of everything that was taken.
type livingWriter struct {
	w     *blob.Writer
	alive func()
}

func (w livingWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.alive()
	return n, err
}

// localReader and localWriter tell this machine's failures from the bucket's.
type localReader struct{ r io.Reader }

func (r localReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = &localError{err}
	}
	return n, err
}

type localWriter struct{ w io.Writer }

func (w localWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		err = &localError{err}
	}
	return n, err
}
