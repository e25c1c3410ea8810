package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci/ocitest"
)

// bundleBytes is a file that begins as a bundle does, with size bytes more that do not
// compress.
func bundleBytes(t *testing.T, size int) []byte {
	t.Helper()
	entry := func(path string) map[string]any {
		return map[string]any{"path": path, "bytes": 0, "digest": ocitest.Digest(nil)}
	}
	head, err := json.Marshal(map[string]any{"format": 1, "recipe": "recipe/r.yaml", "stages": []any{},
		"entries": []any{entry("distillflow.lock"), entry("recipe/r.yaml")}})
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise) // never fails
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range []struct {
		name string
		data []byte
	}{{"manifest.json", head}, {"noise", noise}} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.data))}))
		_, werr := w.Write(e.data)
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// start gives a registry, and no login of whoever runs the test.
func start(t *testing.T) *ocitest.Server {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := ocitest.New()
	t.Cleanup(s.Close)
	return s
}

func parse(t *testing.T, s string) Ref {
	t.Helper()
	r, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "any name.tar.zst")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func wants(t *testing.T, file string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v, %d bytes, want %d bytes that were pushed", file, err, len(got), len(want))
	}
}

func TestPushPull(t *testing.T) {
	s := start(t)
	data := bundleBytes(t, 1<<16)
	at := parse(t, Scheme+s.Host+"/team/gsm8k:v1")
	first, err := Push(t.Context(), at, write(t, data), "r.tar.zst", false)
	if err != nil || first.Known {
		t.Fatal(first, err)
	}
	m, ok := s.Manifest("team/gsm8k", "v1")
	if !ok || m.Type != ocispec.MediaTypeImageManifest || ocitest.Digest(m.Body) != first.Digest {
		t.Fatalf("the tag stands for %s %s, the push said %s", m.Type, ocitest.Digest(m.Body), first.Digest)
	}
	var head ocispec.Manifest
	if err := json.Unmarshal(m.Body, &head); err != nil {
		t.Fatal(err)
	}
	if head.SchemaVersion != 2 || head.MediaType != m.Type || head.ArtifactType != ArtifactType || head.Config.MediaType != ocispec.MediaTypeEmptyJSON || head.Annotations != nil ||
		len(head.Layers) != 1 || head.Layers[0].MediaType != LayerType || head.Layers[0].Annotations[ocispec.AnnotationTitle] != "r.tar.zst" {
		t.Errorf("manifest %s", m.Body)
	}

	// The same bundle again: nothing is sent, and under another tag only the manifest is.
	var sent int64
	s.With(func(s *ocitest.Server) { sent = s.Sent })
	again, err := Push(t.Context(), at, write(t, data), "r.tar.zst", false)
	if err != nil || !again.Known || again.Digest != first.Digest {
		t.Errorf("pushed again: %+v, %v; want %s, known", again, err, first.Digest)
	}
	other, err := Push(t.Context(), parse(t, Scheme+s.Host+"/team/gsm8k:v2"), write(t, data), "r.tar.zst", false)
	if err != nil || other.Known || other.Digest != first.Digest {
		t.Errorf("pushed under another tag: %+v, %v; want %s", other, err, first.Digest)
	}
	s.With(func(s *ocitest.Server) {
		if s.Sent != sent {
			t.Errorf("%d bytes were sent again", s.Sent-sent)
		}
	})

	for _, from := range []Ref{at, at.At(first.Digest)} {
		to := filepath.Join(t.TempDir(), from.File())
		p, err := Pull(t.Context(), from, to, false)
		if err != nil || p.Digest != first.Digest || p.Bytes != int64(len(data)) || p.Known || p.Resumed != 0 {
			t.Errorf("pulled %s: %+v, %v", from, p, err)
		}
		wants(t, to, data)
		if p, err := Pull(t.Context(), from, to, false); err != nil || !p.Known {
			t.Errorf("pulled %s again: %+v, %v; want known", from, p, err)
		}
	}
}

// What a registry or an artifact says never chooses where a file lies.
func TestPullTrustsNoArtifact(t *testing.T) {
	s := start(t)
	data := bundleBytes(t, 100)
	layer := func(change func(*ocispec.Descriptor)) ocispec.Manifest {
		d := ocispec.Descriptor{MediaType: LayerType, Digest: digest.FromBytes(data), Size: int64(len(data)), Annotations: map[string]string{ocispec.AnnotationTitle: "../../evil"}}
		change(&d)
		return manifest(d)
	}
	with := func(change func(*ocispec.Manifest)) ocispec.Manifest {
		m := layer(func(*ocispec.Descriptor) {})
		change(&m)
		return m
	}
	text := []byte("no bundle")
	for name, c := range map[string]struct {
		m    ocispec.Manifest
		typ  string
		blob []byte
		want string // part of the error; "" for none
	}{
		"title that leads out": {m: layer(func(*ocispec.Descriptor) {}), blob: data},
		"absolute title": {m: layer(func(d *ocispec.Descriptor) {
			d.Annotations[ocispec.AnnotationTitle] = "/tmp/evil"
		}), blob: data},
		"image":                 {m: with(func(m *ocispec.Manifest) { m.ArtifactType = "" }), blob: data, want: `not a bundle of distillflow: its type is "application/vnd.oci.empty.v1+json"`},
		"other type":            {m: with(func(m *ocispec.Manifest) { m.ArtifactType = "application/x" }), blob: data, want: `its type is "application/x"`},
		"index":                 {m: with(func(*ocispec.Manifest) {}), typ: ocispec.MediaTypeImageIndex, blob: data, want: `it is "application/vnd.oci.image.index.v1+json"`},
		"two layers":            {m: with(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }), blob: data, want: "other layers than one"},
		"no size":               {m: layer(func(d *ocispec.Descriptor) { d.Size = 0 }), blob: data, want: "no proper digest and size"},
		"bad digest":            {m: layer(func(d *ocispec.Descriptor) { d.Digest = "sha256:../../x" }), blob: data, want: "no proper digest and size"},
		"shorter than the blob": {m: layer(func(d *ocispec.Descriptor) { d.Size -= 5 }), blob: data, want: "mismatch Content-Length"},
		"longer than the blob":  {m: layer(func(d *ocispec.Descriptor) { d.Size = 1 << 40 }), blob: data, want: "mismatch Content-Length"},
		"no bundle inside": {m: layer(func(d *ocispec.Descriptor) {
			d.Digest, d.Size = digest.FromBytes(text), int64(len(text))
		}), blob: text, want: "not a bundle of distillflow: not a"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(c.m)
			if err != nil {
				t.Fatal(err)
			}
			if c.typ == "" {
				c.typ = ocispec.MediaTypeImageManifest
			}
			s.Put("x", "t", ocitest.Manifest{Type: c.typ, Body: body}, c.blob)
			root := t.TempDir()
			dir := filepath.Join(root, "a", "b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err = Pull(t.Context(), parse(t, Scheme+s.Host+"/x:t"), filepath.Join(dir, "x.tar.zst"), false)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			var files []string
			_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					files = append(files, strings.TrimPrefix(p, dir+"/"))
				}
				return err
			})
			if want := map[bool]string{true: "x.tar.zst"}[c.want == ""]; strings.Join(files, " ") != want {
				t.Errorf("the pull left %q, want %q", files, want)
			}
		})
	}
}

func TestPullGoesOn(t *testing.T) {
	s := start(t)
	data := bundleBytes(t, 1<<20)
	at := parse(t, Scheme+s.Host+"/x:t")
	if _, err := Push(t.Context(), at, write(t, data), "x", false); err != nil {
		t.Fatal(err)
	}
	part := func(to string) string {
		return filepath.Join(filepath.Dir(to), ".x.tar.zst."+strings.TrimPrefix(ocitest.Digest(data), "sha256:")[:12]+".part")
	}
	pull := func(t *testing.T, left []byte) (Pulled, string, error) {
		t.Helper()
		to := filepath.Join(t.TempDir(), "x.tar.zst")
		if left != nil {
			if err := os.WriteFile(part(to), left, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p, err := Pull(t.Context(), at, to, false)
		return p, to, err
	}
	t.Run("cut", func(t *testing.T) {
		s.With(func(s *ocitest.Server) { s.Cut, s.Ranges = 1, nil })
		_, to, err := pull(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		wants(t, to, data)
		s.With(func(s *ocitest.Server) {
			if len(s.Ranges) != 1 || !strings.HasPrefix(s.Ranges[0], "bytes=") || strings.HasPrefix(s.Ranges[0], "bytes=0-") {
				t.Errorf("ranges %q, want one from the middle", s.Ranges)
			}
		})
	})
	t.Run("cut until it gives up, and again", func(t *testing.T) {
		s.With(func(s *ocitest.Server) { s.Cut = 100 })
		_, to, err := pull(t, nil)
		if err == nil || !strings.Contains(err.Error(), "what arrived is kept: pull again") {
			t.Fatal(err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Error("half a file has the name of a whole one")
		}
		s.With(func(s *ocitest.Server) { s.Cut = 0 })
		p, err := Pull(t.Context(), at, to, false)
		if err != nil || p.Resumed < int64(len(data))/2 || p.Resumed == int64(len(data)) {
			t.Errorf("%+v, %v: want to go on behind the middle of %d", p, err, len(data))
		}
		wants(t, to, data)
		if _, err := os.Stat(part(to)); err == nil {
			t.Error("the partial file is still there")
		}
	})
	t.Run("a registry without ranges", func(t *testing.T) {
		s.With(func(s *ocitest.Server) { s.NoRanges = true })
		defer s.With(func(s *ocitest.Server) { s.NoRanges = false })
		p, to, err := pull(t, data[:1000])
		if err != nil || p.Resumed != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		wants(t, to, data)
	})
	for name, left := range map[string][]byte{"whole": data, "longer": append(bytes.Clone(data), 'x')} {
		t.Run("left "+name, func(t *testing.T) {
			_, to, err := pull(t, left)
			if err != nil {
				t.Fatal(err)
			}
			wants(t, to, data)
		})
	}
	for name, spoil := range map[string]func(){"left": func() {}, "sent": func() { s.With(func(s *ocitest.Server) { s.Corrupt = 1 }) }} {
		t.Run("other bytes "+name, func(t *testing.T) {
			left := []byte("other bytes")
			if name == "sent" {
				left = nil
			}
			spoil()
			_, to, err := pull(t, left)
			if err == nil || !strings.Contains(err.Error(), "does not have the digest") {
				t.Fatal(err)
			}
			if p, err := Pull(t.Context(), at, to, false); err != nil || p.Resumed != 0 {
				t.Errorf("pulled again: %+v, %v", p, err)
			}
			wants(t, to, data)
		})
	}
	t.Run("another file", func(t *testing.T) {
		to := write(t, []byte("mine"))
		if _, err := Pull(t.Context(), at, to, false); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		wants(t, to, []byte("mine"))
	})
}

func TestPushAgainAfterAFailure(t *testing.T) {
	s := start(t)
	s.With(func(s *ocitest.Server) { s.FailUploads = 1 })
	data := bundleBytes(t, 1000)
	at := parse(t, Scheme+s.Host+"/x:t")
	if _, err := Push(t.Context(), at, write(t, data), "x", false); err == nil || !strings.Contains(err.Error(), "the registry answered 500: unknown: disk full") {
		t.Fatal(err)
	}
	if _, ok := s.Manifest("x", "t"); ok {
		t.Fatal("the tag stands for half an artifact")
	}
	if _, err := Push(t.Context(), at, write(t, data), "x", false); err != nil {
		t.Fatal(err)
	}
}

func TestAccess(t *testing.T) {
	s := start(t)
	s.With(func(s *ocitest.Server) { s.User, s.Password = "ann", "s3cret-word" })
	data := bundleBytes(t, 10)
	at := parse(t, Scheme+s.Host+"/x:t")
	push := func() error {
		_, err := Push(t.Context(), at, write(t, data), "x", false)
		return err
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, ErrAccess) || !strings.Contains(err.Error(), "'docker login "+s.Host+"'") || strings.Contains(err.Error(), "s3cret") {
			t.Error(err)
		}
	}
	t.Run("no login", func(t *testing.T) { refused(t, push()) })
	login := func(t *testing.T, config string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("wrong password", func(t *testing.T) {
		login(t, `{"auths": {"`+s.Host+`": {"auth": "YW5uOndyb25nLXMzY3JldA=="}}}`)
		refused(t, push())
	})
	t.Run("helper", func(t *testing.T) {
		bin := t.TempDir()
		script := "#!/bin/sh\nread host\n[ \"$1 $host\" = \"get " + s.Host + "\" ] && echo '{\"Username\": \"ann\", \"Secret\": \"s3cret-word\"}'\n"
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-ours"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		login(t, `{"credHelpers": {"`+s.Host+`": "ours"}}`)
		if err := push(); err != nil {
			t.Error(err)
		}
	})
	t.Run("read only", func(t *testing.T) {
		s.With(func(s *ocitest.Server) { s.ReadOnly = true })
		login(t, `{"auths": {"`+s.Host+`": {"auth": "YW5uOnMzY3JldC13b3Jk"}}}`)
		_, err := Push(t.Context(), parse(t, Scheme+s.Host+"/y:t"), write(t, bundleBytes(t, 20)), "x", false)
		refused(t, err)
		if _, err := Pull(t.Context(), at, filepath.Join(t.TempDir(), "f"), false); err != nil {
			t.Error(err)
		}
		if _, err := Pull(t.Context(), parse(t, Scheme+s.Host+"/x:none"), filepath.Join(t.TempDir(), "f"), false); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestParse(t *testing.T) {
	const sum = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	for in, want := range map[string]string{ // the file's name, or part of the error
		"oci://ghcr.io/owner/gsm8k:v1":                       "gsm8k.tar.zst",
		"oci://localhost:5000/x@" + sum:                      "x.tar.zst",
		"oci://localhost:5000/x:t@" + sum:                    "x.tar.zst",
		"oci://ghcr.io/owner/gsm8k":                          "the tag is missing",
		"oci://ghcr.io":                                      "missing registry or repository",
		"oci://ghcr.io/../x:t":                               "invalid repository",
		"oci://ghcr.io/x:..":                                 "invalid tag",
		"oci://ghcr.io/x@sha256:12":                          "invalid digest",
		"oci://ghcr.io/x@sha512:" + strings.Repeat("0", 128): "not a SHA-256",
		"ghcr.io/x:t":                                        "not a reference to a registry",
	} {
		r, err := Parse(in)
		if err != nil {
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the form is oci://registry/name:tag") {
				t.Errorf("%s: %v, want %q", in, err, want)
			}
			continue
		}
		if r.File() != want {
			t.Errorf("%s: file %s, want %s", in, r.File(), want)
		}
	}
	for host, want := range map[string]bool{"localhost:5000": true, "127.0.0.1": true, "[::1]:80": true, "localhost.example.org": false, "10.0.0.1:5000": false, "ghcr.io": false} {
		if got := parse(t, Scheme+host+"/x:t").local(); got != want {
			t.Errorf("%s local: %v", host, got)
		}
	}
}
