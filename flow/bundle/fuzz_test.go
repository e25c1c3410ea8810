package bundle

import (
	"archive/tar"
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// smallBundle is a sound archive of a recipe and a lock.
func smallBundle(t testing.TB) []byte {
	var b bytes.Buffer
	m := &Manifest{Format: Format, Recipe: "recipe/r.yaml"}
	if err := writeArchive(t.Context(), &b, m, []item{inMemory("recipe/r.yaml", []byte("stages: {}")), inMemory("distillflow.lock", []byte("{}"))}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unzstd(t testing.TB, b []byte) []byte {
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out, err := z.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What a manifest lets through leads nowhere but into the bundle's folder.
func FuzzParseManifest(f *testing.F) {
	r := tar.NewReader(bytes.NewReader(unzstd(f, smallBundle(f))))
	if _, err := r.Next(); err != nil {
		f.Fatal(err)
	}
	good, err := io.ReadAll(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"recipe":"recipe/r.yaml","inputs":[{"dir":"recipe","files":[{"path":"../../x"}]}]}`))
	f.Add([]byte(`{"format":1,"entries":[{"path":"recipe/a","bytes":-1}],"remote":[{"path":"cache/../x"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			m, err := parseManifest(b)
			if err != nil {
				return
			}
			var names []string
			for _, e := range m.Entries {
				names = append(names, e.Path)
			}
			for _, r := range m.Remote {
				names = append(names, r.Path)
			}
			for _, in := range m.Inputs {
				for _, f := range in.Files {
					names = append(names, in.Dir+"/"+f.Path)
				}
			}
			for _, n := range names {
				if !filepath.IsLocal(filepath.FromSlash(n)) || strings.Contains(n, "\\") {
					t.Errorf("%q leads out of the folder", n)
				}
			}
			once, err := m.encode()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := parseManifest(once); err != nil {
				t.Errorf("own encoding refused: %v\n%s", err, once)
			} else if twice, _ := again.encode(); !bytes.Equal(once, twice) {
				t.Errorf("unstable:\n%s\n%s", once, twice)
			}
		})
	})
}

// FuzzArchive reads bytes as what a bundle holds, and as a bundle. What is unpacked has
// the digest that the manifest promises.
func FuzzArchive(f *testing.F) {
	good := smallBundle(f)
	f.Add(unzstd(f, good), true)
	f.Add(good, false)
	f.Add(good[:len(good)/2], false)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, wrap bool) {
		if wrap {
			b = enc.EncodeAll(b, nil)
		}
		// The decoder's window takes memory that the file does not.
		alloctest.Within(t, len(b), 1000, maxWindow+16<<20, func() {
			a, err := openArchive(bytes.NewReader(b))
			if err != nil {
				return
			}
			defer a.close()
			for {
				e, err := a.next()
				if err != nil {
					return
				}
				var out bytes.Buffer
				if err := a.copyTo(&out, e); err == nil && (int64(out.Len()) != e.Bytes || store.DigestBytes(out.Bytes()) != e.Digest) {
					t.Errorf("%s: other bytes than its digest's", e.Path)
				}
			}
		})
	})
}
