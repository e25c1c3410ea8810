package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
)

// Pushed is what a push did.
type Pushed struct {
	Digest string // of the artifact: sha256:...
	Known  bool   // the tag stood for it already; nothing was sent
}

// Push sends a bundle's file to where a reference with a tag says. title is a file name
// for other programs. What the registry has already is not sent again.
func Push(ctx context.Context, r Ref, file, title string, plainHTTP bool) (Pushed, error) {
	if r.Exact() {
		return Pushed{}, fmt.Errorf("%s: a push needs a tag: the digest follows from the bundle", r)
	}
	repo, err := repository(r, plainHTTP)
	if err != nil {
		return Pushed{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return Pushed{}, err
	}
	defer f.Close()
	layer, err := layerOf(f, title)
	if err != nil {
		return Pushed{}, err
	}
	head, err := json.Marshal(manifest(layer))
	if err != nil {
		return Pushed{}, err
	}
	desc := content.NewDescriptorFromBytes(ocispec.MediaTypeImageManifest, head)
	done := Pushed{Digest: desc.Digest.String()}
	switch at, err := repo.Resolve(ctx, r.ref.Reference); {
	case err == nil && at.Digest == desc.Digest:
		done.Known = true
		return done, nil
	case err != nil && !errors.Is(err, errdef.ErrNotFound):
		return Pushed{}, explain(r, err)
	}
	empty := ocispec.DescriptorEmptyJSON
	for _, blob := range []struct {
		ocispec.Descriptor
		from io.Reader
	}{{layer, f}, {empty, bytes.NewReader(empty.Data)}} {
		have, err := repo.Blobs().Exists(ctx, blob.Descriptor)
		if err == nil && !have {
			err = repo.Blobs().Push(ctx, blob.Descriptor, blob.from)
		}
		if err != nil {
			return Pushed{}, explain(r, err)
		}
	}
	return done, explain(r, repo.PushReference(ctx, desc, bytes.NewReader(head), r.ref.Reference))
}

// layerOf hashes a file and leaves it at its beginning.
func layerOf(f *os.File, title string) (ocispec.Descriptor, error) {
	h := digest.SHA256.Digester()
	n, err := io.Copy(h.Hash(), f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return ocispec.Descriptor{MediaType: LayerType, Digest: h.Digest(), Size: n,
		Annotations: map[string]string{ocispec.AnnotationTitle: title}}, err
}
