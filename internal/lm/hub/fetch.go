package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // git's name for a blob
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Fetch brings files of the repository to the disk and returns where they lie, in
// the order of names. What is there is not asked for again. Each file arrives as a
// whole or not at all: it is checked against the Hub's checksum before it gets its
// name. A download that was cut off goes on where it stopped, also in another
// process; two processes do not load one file twice.
func (s *Snapshot) Fetch(ctx context.Context, names ...string) ([]string, error) {
	paths := make([]string, len(names))
	for i, name := range names {
		f, ok := s.Find(name)
		if !ok {
			return nil, fmt.Errorf("%s: there is no file %q: %w", s.Resolved(), name, ErrNotFound)
		}
		p, err := s.fetch(ctx, f)
		if err != nil {
			return nil, err
		}
		paths[i] = p
	}
	return paths, nil
}

// Present reports whether a file is on the disk, without asking the Hub. Content that
// the cache has from another commit gets its name in this one.
func (s *Snapshot) Present(ctx context.Context, name string) (bool, error) {
	f, ok := s.Find(name)
	if !ok {
		return false, nil
	}
	blob := filepath.Join(s.client.cache, s.Ref.folder(), "blobs", f.checksum())
	for _, p := range []string{s.Place(name), blob} {
		info, err := os.Stat(p)
		if err != nil || info.Size() != f.Size {
			continue
		}
		_, err = s.fetch(ctx, f)
		return err == nil, err
	}
	return false, nil
}

func (s *Snapshot) fetch(ctx context.Context, f File) (string, error) {
	at := filepath.Join(s.Dir(), filepath.FromSlash(f.Path))
	if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() && info.Size() == f.Size {
		return at, nil
	}
	c := s.client
	if f.Blob == "" {
		return "", c.absent(s.Resolved(), f.Path)
	}
	folder := filepath.Join(c.cache, s.Ref.folder())
	blob := filepath.Join(folder, "blobs", f.checksum())
	lock := filepath.Join(c.cache, ".locks", s.Ref.folder(), f.checksum()+".lock")
	for _, dir := range []string{filepath.Dir(blob), filepath.Dir(lock), filepath.Dir(at)} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", fmt.Errorf("the cache of the Hub: %w; set HF_HOME to a folder that can be written", err)
		}
	}
	l := flock.New(lock)
	if _, err := l.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", fmt.Errorf("waiting for another process that loads %s/%s: %w", s.Resolved(), f.Path, err)
	}
	defer func() { _ = l.Unlock() }() // closing the file releases it in any case
	if info, err := os.Stat(blob); err != nil || info.Size() != f.Size {
		if c.offline {
			return "", c.absent(s.Resolved(), f.Path)
		}
		if err := s.load(ctx, f, blob); err != nil {
			return "", err
		}
	}
	return at, link(blob, at)
}

// link gives a blob its name in the snapshot, relative so that the cache can be
// moved. Where the file system has no links the content is copied.
func link(blob, at string) error {
	target, err := filepath.Rel(filepath.Dir(at), blob)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", at, os.Getpid())
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		if err := os.Link(blob, tmp); err != nil {
			if err := copyFile(blob, tmp); err != nil {
				return err
			}
		}
	}
	return os.Rename(tmp, at)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// hasher is the hash that a file's checksum is made with.
func (f File) hasher() hash.Hash {
	if f.SHA256 != "" {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "blob %d\x00", f.Size)
	return h
}

// load downloads a file to its blob. What arrived of an earlier attempt lies beside
// it, under the name that the Python client uses too.
func (s *Snapshot) load(ctx context.Context, f File, blob string) error {
	part := blob + ".incomplete"
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("the cache of the Hub: %w; set HF_HOME to a folder that can be written", err)
	}
	d := &download{file: f, out: out, sum: f.hasher()}
	if d.have, err = io.Copy(d.sum, out); err == nil {
		err = s.client.again(ctx, func() error { return s.attempt(ctx, d) })
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("%s/%s: %w", s.Resolved(), f.Path, s.client.interrupted(err, f.Size-d.have))
	}
	return os.Rename(part, blob)
}

// download is a file that is under way.
type download struct {
	file File
	out  *os.File
	have int64     // bytes written
	sum  hash.Hash // over them
}

// restart forgets what was written.
func (d *download) restart() error {
	d.have, d.sum = 0, d.file.hasher()
	_, err := d.out.Seek(0, io.SeekStart)
	return errors.Join(err, d.out.Truncate(0))
}

// fail restarts and gives a checksum error.
func (d *download) fail(format string, args ...any) error {
	return errors.Join(fmt.Errorf("%w: %s", ErrChecksum, fmt.Sprintf(format, args...)), d.restart())
}

// attempt asks for the bytes that are missing and checks the whole.
func (s *Snapshot) attempt(ctx context.Context, d *download) error {
	f := d.file
	if d.have > f.Size {
		return d.fail("%d bytes of %d arrived and are thrown away: try again", d.have, f.Size)
	}
	if d.have < f.Size {
		if err := s.receive(ctx, d); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(d.sum.Sum(nil)); d.have != f.Size || got != f.checksum() {
		return d.fail("%d bytes with %s arrived, the Hub lists %d with %s; try again, or look what a proxy between changes",
			d.have, got, f.Size, f.checksum())
	}
	return nil
}

func (s *Snapshot) receive(ctx context.Context, d *download) error {
	c, f := s.client, d.file
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.stall, func() { cancel(fmt.Errorf("%w: no data for %s", ErrOffline, c.stall)) })
	defer watch.Stop()

	header := http.Header{"Accept-Encoding": {"identity"}} // the range and checksum are of the bytes themselves
	if d.have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	resp, err := c.request(ctx, c.address(s, f), header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", d.have)) {
			return d.fail("asked for bytes from %d, got %q", d.have, oneLine(got))
		}
	case http.StatusOK: // a server without ranges begins anew
		if d.have > 0 {
			if err := d.restart(); err != nil {
				return err
			}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return d.fail("what is on the disk is not a part of the file")
	default:
		return retryAfter(c.failed(s.Resolved(), f.Path, resp), resp)
	}
	buf := make([]byte, 1<<20)
	for {
		n, readErr := resp.Body.Read(buf)
		watch.Reset(c.stall)
		if d.have+int64(n) > f.Size {
			return d.fail("more than the %d bytes that the Hub lists arrive", f.Size)
		}
		if n > 0 {
			if _, err := d.out.Write(buf[:n]); err != nil {
				return err
			}
			d.sum.Write(buf[:n])
			d.have += int64(n)
			if c.progress != nil {
				c.progress(Progress{Ref: s.Resolved(), File: f.Path, Done: d.have, Total: f.Size})
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			if d.have < f.Size {
				return fmt.Errorf("%w: the connection ended after %d of %d bytes", ErrOffline, d.have, f.Size)
			}
			return nil
		case readErr != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case readErr != nil:
			return fmt.Errorf("%w: after %d of %d bytes: %w", ErrOffline, d.have, f.Size, readErr)
		}
	}
}

// address is where a file of a commit is found.
func (c *Client) address(s *Snapshot, f File) string {
	parts := strings.Split(f.Path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return c.endpoint + s.Ref.web() + "/resolve/" + s.Commit + "/" + strings.Join(parts, "/")
}
