package oci

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci/ocitest"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A reference is written as it is read, and its file lies where it is pulled to.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"oci://ghcr.io/team/gsm8k:v1", "oci://localhost:5000/a@" + ocitest.Digest(nil), "oci://[::1]:5000/a:b", "oci://r/a:b@" + ocitest.Digest(nil),
		"oci://r/..:x", "oci://r/a/../b:x", "oci://r/a", "oci:///:", "oci://u:p@r/a:b", "oci://r/a@sha512:00", "oci://r/.:t", "http://r/a:b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if !strings.HasPrefix(err.Error(), s) {
				t.Errorf("%q: %v does not name it", s, err)
			}
			return
		}
		if again, err := Parse(r.String()); err != nil || again != r {
			t.Errorf("%q is %s, read again %s (%v)", s, r, again, err)
		}
		if name := r.File(); name != filepath.Base(name) || !filepath.IsLocal(name) {
			t.Errorf("%q would be pulled to %q", s, name)
		}
		if r.Exact() && !strings.HasSuffix(r.String(), "@"+r.ref.Reference) {
			t.Errorf("%q is exact and written as %s", s, r)
		}
		r.local()
	})
}

// canned is a registry that answers everything with the same bytes.
type canned []byte

func (b canned) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b)), nil
}

// What a registry calls the manifest of a bundle names one layer by a SHA-256, or is an
// error that names the artifact.
func FuzzManifest(f *testing.F) {
	layer := `{"mediaType":"` + LayerType + `","digest":"` + ocitest.Digest([]byte("x")) + `","size":1}`
	f.Add([]byte(`{"schemaVersion":2,"artifactType":"`+ArtifactType+`","layers":[`+layer+`]}`), int64(0))
	f.Add([]byte(`{"artifactType":"`+ArtifactType+`","layers":[`+layer+`,`+layer+`]}`), int64(1))
	f.Add([]byte(`{"artifactType":"`+ArtifactType+`","layers":[{"mediaType":"`+LayerType+`","digest":"sha256:../../x","size":-1}]}`), int64(0))
	f.Add([]byte(`{"config":{"mediaType":"x"},"layers":null}`), int64(-100))
	f.Add([]byte(strings.Repeat("[", 20_000)), int64(0))
	at, err := Parse("oci://r/a:b")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, lie int64) {
		if lie > 1<<20 { // it is allocated, up to maxManifest
			lie %= 1 << 20
		}
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b)) + lie}
		alloctest.Within(t, len(b), 200, 4<<20, func() {
			l, err := bundleLayer(t.Context(), at, canned(b), desc)
			switch {
			case err != nil:
				if !strings.HasPrefix(err.Error(), at.String()+": ") {
					t.Errorf("%v does not name the artifact", err)
				}
			case lie != 0 || l.Digest.Algorithm() != digest.SHA256 || len(l.Digest.Encoded()) != 64 || l.Size < 1:
				t.Errorf("%q, said to have %d bytes: the layer is %+v", b, desc.Size, l)
			}
		})
	})
}
