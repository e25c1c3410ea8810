package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file://
	"gocloud.dev/gcerrors"

	"github.com/distillflow/distillflow/flow/store"
)

const (
	// atOnce bounds the requests of one Bucket that are under way.
	atOnce = 16
	// patience is how long a bucket may give no sign before a request is given up.
	patience = 10 * time.Second
	// uploadPatience is the same for uploads of blobs, of which the last parts may be
	// under way unseen.
	uploadPatience = 5 * time.Minute
	// maxObject is the size in bytes of the largest object that is read into memory.
	maxObject = 64 << 20
)

// errExists is the end of a write that must not replace anything.
var errExists = errors.New("is there already")

// errMissing is [store.ErrNotFound] in words that suit a bucket.
var errMissing error = missingError{}

type missingError struct{}

func (missingError) Error() string        { return "is missing" }
func (missingError) Is(target error) bool { return target == store.ErrNotFound }

var errNoBucket = errors.New("there is no such bucket, or it is not for us")

// bucketError is a failure of the bucket, as opposed to one of this machine's and to
// an object that is not there or damaged.
type bucketError struct {
	error
	denied bool // the bucket is there, and does not allow it
}

func (e *bucketError) Unwrap() error { return e.error }

// localError is a failure of this machine in the course of a request.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// Bucket is the place that stores share. Its methods are safe for several
// goroutines, and any number of machines may use one bucket. Every request ends
// with an error once the bucket has given no sign for ten seconds, an upload of a
// blob after five minutes.
//
// Missing things are [store.ErrNotFound], damaged ones [store.ErrCorrupt].
type Bucket struct {
	b        *blob.Bucket
	name     string // the URL without what may be secret
	dir      string // the folder of file://; "" for others
	patience time.Duration
	upload   time.Duration // patience with uploads
	slots    chan struct{}
	damaged  sync.Map // objects found damaged, which are written anew
}

// Open opens the bucket of a URL: file:///folder, s3://bucket/path,
// gs://bucket/path or azblob://container/path, with the query parameters that
// gocloud.dev/blob knows. The program has to import the driver of any scheme but
// file. Credentials come from the environment, as each provider's own programs
// read them. create makes the folder of a file:// that is not there.
func Open(ctx context.Context, rawURL string, create bool) (*Bucket, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("cache %q: is no URL: want file:///folder, s3://bucket/path, gs://bucket/path or azblob://container/path", rawURL)
	}
	if !blob.DefaultURLMux().ValidBucketScheme(u.Scheme) {
		return nil, fmt.Errorf("cache %s: the scheme %s: is not known: want one of %s", u.Redacted(), u.Scheme, strings.Join(blob.DefaultURLMux().BucketSchemes(), ", "))
	}
	name := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	q := u.Query()
	dir := ""
	switch {
	case u.Scheme == "file":
		if dir, err = folder(u); err != nil {
			return nil, fmt.Errorf("cache %s: %w", name, err)
		}
		if fi, err := os.Stat(dir); err == nil && !fi.IsDir() {
			return nil, fmt.Errorf("cache %s: is a file, want a folder", name)
		} else if errors.Is(err, fs.ErrNotExist) && !create {
			return nil, noFolderError(name)
		}
		// Beside its place a file is written and renamed within one file system.
		for _, k := range []string{"create_dir", "no_tmp_dir"} {
			q.Set(k, "1")
		}
		q.Set("metadata", "skip")
	case strings.Trim(u.Path, "/") != "" && !q.Has("prefix"):
		q.Set("prefix", strings.Trim(u.Path, "/")+"/")
		u.Path = ""
	}
	if u.Scheme == "s3" {
		// Everything is checked here; what else the SDK wants not every server knows.
		for _, k := range []string{"request_checksum_calculation", "response_checksum_validation"} {
			if !q.Has(k) {
				q.Set(k, "when_required")
			}
		}
	}
	u.RawQuery = q.Encode()
	b, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w%s", name, err, hint(u.Scheme))
	}
	n := newBucket(b, name)
	n.dir = dir
	return n, nil
}

func newBucket(b *blob.Bucket, name string) *Bucket {
	return &Bucket{b: b, name: name, patience: patience, upload: uploadPatience, slots: make(chan struct{}, atOnce)}
}

// noFolderError is a [store.ErrNotFound].
type noFolderError string

func (e noFolderError) Error() string        { return "cache " + string(e) + ": there is no such folder" }
func (e noFolderError) Is(target error) bool { return target == store.ErrNotFound }

// folder is the path of a file:// URL, as fileblob reads it.
func folder(u *url.URL) (string, error) {
	p := u.Path
	if u.Host == "." || os.PathSeparator != '/' {
		p = strings.TrimPrefix(p, "/")
	}
	if u.Host != "" && u.Host != "." && u.Host != "localhost" {
		return "", fmt.Errorf("names the host %s: write file:///folder with three slashes", u.Host)
	}
	if p == "" {
		return "", errors.New("names no folder: write file:///folder")
	}
	return filepath.FromSlash(p), nil
}

// hint says where a provider's credentials come from.
func hint(scheme string) string {
	switch scheme {
	case "s3":
		return " (credentials and region come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, or the profile that AWS_PROFILE names)"
	case "gs":
		return " (credentials come from GOOGLE_APPLICATION_CREDENTIALS or 'gcloud auth application-default login')"
	case "azblob":
		return " (set AZURE_STORAGE_ACCOUNT, and AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or a login of the az program)"
	}
	return ""
}

// String is the bucket's URL without its parameters.
func (b *Bucket) String() string { return b.name }

// Close gives the bucket's connections back.
func (b *Bucket) Close() error { return b.b.Close() }

// read makes one request. f calls alive whenever something has come or gone.
func (b *Bucket) read(ctx context.Context, object string, f func(ctx context.Context, alive func()) error) error {
	return b.do(ctx, object, b.patience, f)
}

// write is read for requests that add something, of which nothing can be missing but
// the bucket itself.
func (b *Bucket) write(ctx context.Context, object string, patience time.Duration, f func(ctx context.Context, alive func()) error) error {
	err := b.do(ctx, object, patience, f)
	if errors.Is(err, errMissing) {
		err = &bucketError{errNoBucket, true}
	}
	if err == nil {
		b.damaged.Delete(object)
	}
	return err
}

func (b *Bucket) do(ctx context.Context, object string, patience time.Duration, f func(ctx context.Context, alive func()) error) error {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	silent := fmt.Errorf("no answer within %s", patience)
	rctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := time.AfterFunc(patience, func() { cancel(silent) })
	defer t.Stop()
	err := f(rctx, func() { t.Reset(patience) })
	var local *localError
	var api interface{ ErrorCode() string } // of the S3 SDK
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &local):
		return local.error
	case context.Cause(rctx) == silent:
		err = &bucketError{error: silent}
	case gcerrors.Code(err) == gcerrors.NotFound:
		err = errMissing
	case gcerrors.Code(err) == gcerrors.FailedPrecondition, errors.Is(err, errExists),
		errors.As(err, &api) && api.ErrorCode() == "ConditionalRequestConflict": // somebody creates it at this moment
		err = errExists
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, io.ErrUnexpectedEOF):
		b.damaged.Store(object, true)
		err = errors.Join(store.ErrCorrupt, err)
	default:
		denied := gcerrors.Code(err) == gcerrors.PermissionDenied || errors.Is(err, fs.ErrPermission)
		err = &bucketError{err, denied}
	}
	return fmt.Errorf("%s: %s: %w", b.name, object, err)
}

// isDamaged reports whether an object was found damaged and not written anew since.
func (b *Bucket) isDamaged(object string) bool {
	_, ok := b.damaged.Load(object)
	return ok
}

// get reads a small object.
func (b *Bucket) get(ctx context.Context, object string) (data []byte, err error) {
	err = b.read(ctx, object, func(ctx context.Context, alive func()) error {
		r, err := b.b.NewReader(ctx, object, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		data, err = io.ReadAll(io.LimitReader(&livingReader{r, alive}, maxObject+1))
		switch {
		case err != nil:
			return err
		case len(data) > maxObject:
			return fmt.Errorf("has more than %d bytes: %w", maxObject, store.ErrCorrupt)
		case int64(len(data)) != r.Size():
			return fmt.Errorf("ends after %d of %d bytes: %w", len(data), r.Size(), store.ErrCorrupt)
		}
		return nil
	})
	return data, err
}

// put writes a small object. It appears whole or not at all.
func (b *Bucket) put(ctx context.Context, object string, data []byte) error {
	return b.write(ctx, object, b.patience, func(ctx context.Context, _ func()) error {
		return b.b.WriteAll(ctx, object, data, writer(false, int64(len(data))))
	})
}

// create is put for an object that must not be there yet: errExists if it is. Of
// several who create one object at a time one succeeds, where the provider has
// conditional writes.
func (b *Bucket) create(ctx context.Context, object string, data []byte) error {
	if b.dir != "" {
		return b.write(ctx, object, b.patience, func(context.Context, func()) error {
			return createFile(filepath.Join(b.dir, filepath.FromSlash(object)), data)
		})
	}
	return b.write(ctx, object, b.patience, func(ctx context.Context, _ func()) error {
		return b.b.WriteAll(ctx, object, data, writer(true, int64(len(data))))
	})
}

// createFile makes a whole file that was not there. fileblob's own IfNotExist
// holds among the goroutines of one process only.
func createFile(name string, data []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) {
		return errExists
	} else if err == nil {
		return nil
	}
	// A file system without links: a reader may see the file before its content.
	f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return errExists
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (b *Bucket) remove(ctx context.Context, object string) error {
	return b.read(ctx, object, func(ctx context.Context, _ func()) error { return b.b.Delete(ctx, object) })
}

// writer are the options for an object of so many bytes. Its parts bound what an upload
// holds in memory; providers allow ten thousand of them.
func writer(ifNotExist bool, size int64) *blob.WriterOptions {
	return &blob.WriterOptions{
		ContentType: "application/octet-stream", IfNotExist: ifNotExist,
		BufferSize: int(max(5<<20, size/5000)), MaxConcurrency: 2,
	}
}

// PutObject writes a small object of a job, such as name "sweep-7/task.json". It
// replaces one that is there, and appears whole or not at all.
func (b *Bucket) PutObject(ctx context.Context, name string, data []byte) error {
	object, err := jobObject(name)
	if err != nil {
		return err
	}
	return b.put(ctx, object, data)
}

// GetObject reads a small object of a job, of 64 MiB at most. It is
// [store.ErrNotFound] as long as nobody has put it.
func (b *Bucket) GetObject(ctx context.Context, name string) ([]byte, error) {
	object, err := jobObject(name)
	if err != nil {
		return nil, err
	}
	return b.get(ctx, object)
}

func jobObject(name string) (string, error) {
	strange := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./", r)
	}
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "..") || strings.ContainsFunc(name, strange) {
		return "", fmt.Errorf("the object name %q: want letters, digits, and - _ . between slashes", name)
	}
	return "v1/jobs/" + name, nil
}

// livingReader tells of everything that arrives.
type livingReader struct {
	r     io.Reader
	alive func()
}

func (r *livingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		r.alive()
	}
	return n, err
}
