package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// double is a bucket in memory with faults.
type double struct {
	mu      sync.Mutex
	objects map[string][]byte
	calls   map[string]int // "read v1/..." and the like -> how often

	// fault may spoil a call: op is read, write, attributes or delete. With data, which
	// is what a read or write is about to hand on, it may return other data.
	fault func(op, object string, data []byte) ([]byte, error)
	hang  func(op, object string) bool // calls that get no answer
	blind bool                         // creates what is there already
}

var (
	errAbsent   = errors.New("absent")
	errPresent  = errors.New("present")
	errRefused  = errors.New("connection refused")
	errNoRights = errors.New("no rights")
)

func newDouble(t *testing.T) (*double, *Bucket) {
	t.Helper()
	d := &double{objects: map[string][]byte{}, calls: map[string]int{}}
	b := newBucket(blob.NewBucket(d), "test://double")
	b.patience, b.upload = 200*time.Millisecond, 200*time.Millisecond
	t.Cleanup(func() { b.Close() })
	return d, b
}

func (d *double) call(ctx context.Context, op, object string, data []byte) ([]byte, error) {
	d.mu.Lock()
	d.calls[op+" "+object]++
	fault, hang := d.fault, d.hang
	d.mu.Unlock()
	if hang != nil && hang(op, object) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if fault != nil {
		return fault(op, object, data)
	}
	return data, nil
}

// count adds up the calls whose name begins with a text.
func (d *double) count(prefix string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, k := range d.calls {
		if strings.HasPrefix(name, prefix) {
			n += k
		}
	}
	return n
}

// names lists the objects below a prefix.
func (d *double) names(prefix string) (l []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.objects {
		if strings.HasPrefix(name, prefix) {
			l = append(l, name)
		}
	}
	return l
}

func (d *double) load(object string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.objects[object]
	return b, ok
}

func (d *double) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errAbsent):
		return gcerrors.NotFound
	case errors.Is(err, errPresent):
		return gcerrors.FailedPrecondition
	case errors.Is(err, errNoRights):
		return gcerrors.PermissionDenied
	}
	return gcerrors.Unknown
}

func (d *double) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	if _, err := d.call(ctx, "attributes", key, nil); err != nil {
		return nil, err
	}
	b, ok := d.load(key)
	if !ok {
		return nil, errAbsent
	}
	return &driver.Attributes{Size: int64(len(b))}, nil
}

type doubleReader struct {
	io.Reader
	size int64
}

func (doubleReader) Close() error { return nil }
func (r doubleReader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: r.size}
}
func (doubleReader) As(any) bool { return false }

func (d *double) NewRangeReader(ctx context.Context, key string, _, _ int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	b, ok := d.load(key)
	got, err := d.call(ctx, "read", key, b)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errAbsent
	}
	return doubleReader{bytes.NewReader(got), int64(len(b))}, nil
}

type doubleWriter struct {
	bytes.Buffer
	ctx    context.Context
	d      *double
	key    string
	create bool
}

func (w *doubleWriter) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	b, err := w.d.call(w.ctx, "write", w.key, w.Bytes())
	if err != nil {
		return err
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if _, ok := w.d.objects[w.key]; ok && w.create && !w.d.blind {
		return errPresent
	}
	w.d.objects[w.key] = bytes.Clone(b)
	return nil
}

func (d *double) NewTypedWriter(ctx context.Context, key, _ string, o *driver.WriterOptions) (driver.Writer, error) {
	return &doubleWriter{ctx: ctx, d: d, key: key, create: o.IfNotExist}, nil
}

func (d *double) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	if _, err := d.call(ctx, "delete", key, nil); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.objects[key]; !ok {
		return errAbsent
	}
	delete(d.objects, key)
	return nil
}

func (d *double) As(any) bool             { return false }
func (d *double) ErrorAs(error, any) bool { return false }
func (d *double) Close() error            { return nil }
func (d *double) ListPaged(context.Context, *driver.ListOptions) (*driver.ListPage, error) {
	return nil, errors.New("nothing here lists")
}
func (d *double) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return errors.New("nothing here copies")
}
func (d *double) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errors.New("nothing here signs")
}
