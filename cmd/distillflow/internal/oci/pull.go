package oci

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"

	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// Pulled is what a pull did.
type Pulled struct {
	Digest  string // of the artifact: sha256:...
	Bytes   int64  // of the file
	Resumed int64  // bytes that an earlier pull had left
	Known   bool   // the file was there already
}

// attempts is how often a download that is cut goes on.
const attempts = 5

// ErrExists is a file that would be overwritten.
var ErrExists = errors.New("a file with other content is there")

// Pull writes the bundle that a reference stands for to file. Its content is checked
// against the digest and must be a bundle; file is there as a whole or not at all. What
// a pull that was cut brought lies beside it, and the next pull goes on from there.
// An existing file is never overwritten.
func Pull(ctx context.Context, r Ref, file string, plainHTTP bool) (Pulled, error) {
	repo, err := repository(r, plainHTTP)
	if err != nil {
		return Pulled{}, err
	}
	desc, err := repo.Resolve(ctx, r.ref.Reference)
	if err != nil {
		return Pulled{}, explain(r, err)
	}
	layer, err := bundleLayer(ctx, r, repo.Manifests(), desc)
	if err != nil {
		return Pulled{}, err
	}
	p := Pulled{Digest: desc.Digest.String(), Bytes: layer.Size}
	if p.Known, err = same(file, layer); p.Known || err != nil {
		return p, err
	}
	part := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+layer.Digest.Encoded()[:12]+".part")
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return p, err
	}
	d := &download{f: f, layer: layer, h: sha256.New()}
	err = d.run(ctx, repo.Blobs())
	p.Resumed = d.resumed
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	switch {
	case errors.Is(err, errContent):
		return p, errors.Join(fmt.Errorf("%s: %w", r, err), os.Remove(part))
	case err != nil && d.n == 0:
		return p, errors.Join(explain(r, err), os.Remove(part))
	case err != nil:
		return p, fmt.Errorf("%w; what arrived is kept: pull again, and it goes on from there", explain(r, err))
	}
	if err := isBundle(part); err != nil {
		return p, errors.Join(notBundle(r, "%v", err), os.Remove(part))
	}
	if err := os.Rename(part, file); err != nil {
		return p, err
	}
	return p, atomicfile.SyncDir(filepath.Dir(file))
}

// bundleLayer reads an artifact's manifest and finds the bundle in it.
func bundleLayer(ctx context.Context, r Ref, from content.Fetcher, desc ocispec.Descriptor) (layer ocispec.Descriptor, err error) {
	if desc.MediaType != ocispec.MediaTypeImageManifest {
		return layer, notBundle(r, "it is %q", desc.MediaType)
	}
	if desc.Size > maxManifest {
		return layer, notBundle(r, "its manifest has %d bytes, more than the limit of %d", desc.Size, maxManifest)
	}
	b, err := content.FetchAll(ctx, from, desc)
	if err != nil {
		return layer, explain(r, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return layer, notBundle(r, "its manifest cannot be read: %v", err)
	}
	if m.ArtifactType != ArtifactType {
		return layer, notBundle(r, "its type is %q", cmp.Or(m.ArtifactType, m.Config.MediaType))
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != LayerType {
		return layer, notBundle(r, "it has other layers than one of type %s: a newer version of distillflow may read it", LayerType)
	}
	layer = m.Layers[0]
	if err := layer.Digest.Validate(); err != nil || layer.Digest.Algorithm() != digest.SHA256 || layer.Size <= 0 {
		return layer, notBundle(r, "its manifest gives no proper digest and size")
	}
	return layer, nil
}

// same reports whether file is there with the content of a layer.
func same(file string, layer ocispec.Descriptor) (bool, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	d, err := digest.SHA256.FromReader(f)
	if err == nil && d != layer.Digest {
		err = fmt.Errorf("%s: %w: name another one with -o, or move it away", file, ErrExists)
	}
	return err == nil, err
}

func isBundle(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = bundle.ReadManifest(f)
	return err
}

// errContent is a download whose bytes are not those of the digest.
var errContent = errors.New("what arrived does not have the digest that the manifest promises: the registry or the way from it is faulty")

// download brings a layer into a file that may hold the beginning of it.
type download struct {
	f       *os.File
	layer   ocispec.Descriptor
	h       hash.Hash // of what the file holds
	n       int64     // bytes that it holds
	resumed int64
}

func (d *download) run(ctx context.Context, from registry.BlobStore) error {
	var err error
	if d.n, err = io.Copy(d.h, d.f); err != nil {
		return err
	}
	if d.n > d.layer.Size {
		if err := d.restart(); err != nil {
			return err
		}
	}
	d.resumed = d.n
	for tries := 0; d.n < d.layer.Size; tries++ {
		had := d.n
		if err := d.more(ctx, from); err != nil && (tries == attempts || d.n == had || ctx.Err() != nil) {
			return err // a try that brought nothing is not worth another
		}
	}
	if hex.EncodeToString(d.h.Sum(nil)) != d.layer.Digest.Encoded() {
		return errContent
	}
	return nil
}

// restart forgets what the file holds.
func (d *download) restart() error {
	d.h.Reset()
	d.n, d.resumed = 0, 0
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return d.f.Truncate(0)
}

// more asks for what is missing; a registry that gives whole blobs only begins again.
func (d *download) more(ctx context.Context, from registry.BlobStore) error {
	body, err := from.Fetch(ctx, d.layer)
	if err != nil {
		return err
	}
	defer body.Close()
	if d.n > 0 {
		if s, ok := body.(io.Seeker); !ok {
			err = d.restart()
		} else {
			_, err = s.Seek(d.n, io.SeekStart)
		}
		if err != nil {
			return err
		}
	}
	n, err := io.Copy(io.MultiWriter(d.f, d.h), io.LimitReader(body, d.layer.Size-d.n))
	d.n += n
	if err == nil && d.n < d.layer.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
