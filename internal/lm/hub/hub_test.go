package hub

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

func random(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func model() *hubtest.Repo {
	return &hubtest.Repo{
		Kind: "model", Name: "acme/tiny", Large: []string{"model.safetensors"},
		Files: map[string][]byte{
			"config.json":       []byte(`{"model_type":"llama"}`),
			"model.safetensors": random(300_000),
			"sub/a b#c.txt":     []byte("odd name"),
			"empty":             {},
		},
	}
}

func start(t *testing.T, repos ...*hubtest.Repo) *hubtest.Server {
	t.Helper()
	s := hubtest.New(repos...)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = t.TempDir()
	}
	o.Wait = func(time.Duration) {}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t *testing.T, s string, k Kind) Ref {
	t.Helper()
	r, err := Parse(s, k)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParse(t *testing.T) {
	for in, want := range map[string]Ref{
		"hf://a/b":                        {Model, "a/b", "", "", ""},
		"hf://a/b@v1.0":                   {Model, "a/b", "v1.0", "", ""},
		"hf://a/b@refs/pr/7/x/y.gguf":     {Model, "a/b", "refs/pr/7", "x/y.gguf", ""},
		"hf://a/b/x/y@2.gguf":             {Model, "a/b", "", "x/y@2.gguf", ""},
		"hf://datasets/a/b.c@main/d#test": {Dataset, "a/b.c", "main", "d", "test"},
	} {
		got, err := Parse(in, Model)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
		if got.String() != in {
			t.Errorf("%s is written back as %s", in, got)
		}
	}
	for _, in := range []string{"a/b", "hf://a", "hf://a/", "hf:///b", "hf://../b", "hf://a/..", "hf://a/b@", "hf://a/b#train", "hf://a/b/../../c", "hf://a/b//c", "hf://a--b/c", "hf://a /b", "hf://datasets/a/b#"} {
		if got, err := Parse(in, Model); err == nil {
			t.Errorf("%s is read as %+v", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"hf://a/b@c/d#e", "hf://datasets/a/b", "hf://a/b@refs/pr/1/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s, Dataset)
		if err != nil {
			return
		}
		again, err := Parse(r.String(), Model)
		if err != nil || again != r {
			t.Fatalf("%q: %+v is written as %s, which reads as %+v, %v", s, r, r, again, err)
		}
	})
}

// The whole way: resolve, list in pages, fetch small and large files, the layout of
// the cache, and a second time from the cache.
func TestFetch(t *testing.T) {
	repo := model()
	s := start(t, repo)
	s.PageSize = 2
	cache := t.TempDir()
	var seen []Progress
	c := client(t, Options{Endpoint: s.URL, CacheDir: cache, Token: s.Token, Progress: func(p Progress) { seen = append(seen, p) }})
	snap, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
	if err != nil {
		t.Fatal(err)
	}
	if snap.Commit != repo.Commit() || len(snap.Files) != 4 {
		t.Fatalf("commit %s with %d files", snap.Commit, len(snap.Files))
	}
	names := []string{"model.safetensors", "config.json", "sub/a b#c.txt", "empty"}
	paths, err := snap.Fetch(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "models--acme--tiny")
	for i, n := range names {
		got, err := os.ReadFile(paths[i])
		if err != nil || !bytes.Equal(got, repo.Files[n]) {
			t.Errorf("%s: %d bytes, %v", n, len(got), err)
		}
		if want := filepath.Join(root, "snapshots", repo.Commit(), filepath.FromSlash(n)); paths[i] != want {
			t.Errorf("%s lies at %s", n, paths[i])
		}
	}
	if to, err := os.Readlink(paths[1]); err != nil || to != filepath.Join("..", "..", "blobs", hubtest.Blob(repo.Files["config.json"])) {
		t.Errorf("config.json is a link to %s, %v", to, err)
	}
	if ref, err := os.ReadFile(filepath.Join(root, "refs", "main")); err != nil || string(ref) != repo.Commit() {
		t.Errorf("refs/main holds %s, %v", ref, err)
	}
	last := seen[slices.IndexFunc(seen, func(p Progress) bool { return p.File == "model.safetensors" && p.Done == p.Total })]
	if last.Total != 300_000 {
		t.Errorf("progress ends with %+v", last)
	}
	s.With(func(s *hubtest.Server) {
		if len(s.Leaked) > 0 {
			t.Errorf("the token went to another host with %v", s.Leaked)
		}
	})

	t.Run("offline", func(t *testing.T) {
		c := client(t, Options{Endpoint: s.URL, CacheDir: cache, Offline: true})
		before := len(s.Requests)
		snap, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snap.Fetch(t.Context(), names...); err != nil || len(s.Requests) != before {
			t.Errorf("%v, %d requests", err, len(s.Requests)-before)
		}
		_, err = c.Resolve(t.Context(), parse(t, "hf://acme/other", Model))
		if !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
			t.Error(err)
		}
	})
	t.Run("commit needs no network", func(t *testing.T) {
		before := len(s.Requests)
		snap, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny@"+repo.Commit(), Model))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snap.Fetch(t.Context(), names...); err != nil || len(s.Requests) != before {
			t.Errorf("%v, %d requests", err, len(s.Requests)-before)
		}
	})
	t.Run("unreachable falls back", func(t *testing.T) {
		c := client(t, Options{Endpoint: "http://127.0.0.1:1", CacheDir: cache})
		if snap, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model)); err != nil || snap.Commit != repo.Commit() {
			t.Error(err)
		}
		if _, err := c.Resolve(t.Context(), parse(t, "hf://acme/other", Model)); !errors.Is(err, ErrOffline) {
			t.Error(err)
		}
	})
	t.Run("cache of another program", func(t *testing.T) {
		if err := os.RemoveAll(filepath.Join(root, "distillflow-trees")); err != nil {
			t.Fatal(err)
		}
		c := client(t, Options{CacheDir: cache, Offline: true})
		snap, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
		if err != nil || len(snap.Files) != 4 {
			t.Fatal(err)
		}
		if _, err := snap.Fetch(t.Context(), names...); err != nil {
			t.Error(err)
		}
	})
}

func TestFaults(t *testing.T) {
	const name = "model.safetensors"
	for title, c := range map[string]struct {
		fault  func(*hubtest.Server)
		before []byte // what lies there of an earlier attempt
		ranges int    // requests for a range
		err    error
	}{
		"cut twice":        {fault: func(s *hubtest.Server) { s.Cut = 2 }, ranges: 2},
		"cut for ever":     {fault: func(s *hubtest.Server) { s.Cut = 99 }, ranges: attempts - 1, err: ErrOffline},
		"corrupt once":     {fault: func(s *hubtest.Server) { s.Corrupt = 1 }},
		"corrupt":          {fault: func(s *hubtest.Server) { s.Corrupt = 99 }, err: ErrChecksum},
		"busy":             {fault: func(s *hubtest.Server) { s.Busy = 3 }},
		"resumes":          {before: random(300_000)[:1000], ranges: 1},
		"resumes rubbish":  {before: []byte("rubbish"), ranges: 1},
		"too much rubbish": {before: random(300_001)},
		"whole already":    {before: random(300_000)},
		"no ranges":        {fault: func(s *hubtest.Server) { s.Cut, s.NoRanges = 1, true }},
	} {
		t.Run(title, func(t *testing.T) {
			repo := model()
			s := start(t, repo)
			cl := client(t, Options{Endpoint: s.URL})
			snap, err := cl.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
			if err != nil {
				t.Fatal(err)
			}
			f, _ := snap.Find(name)
			blob := filepath.Join(cl.cache, "models--acme--tiny", "blobs", f.SHA256)
			if c.before != nil {
				if err := os.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(blob+".incomplete", c.before, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if c.fault != nil {
				s.With(c.fault)
			}
			paths, err := snap.Fetch(t.Context(), name)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			s.With(func(s *hubtest.Server) {
				if len(s.Ranges) != c.ranges {
					t.Errorf("ranges %v, want %d", s.Ranges, c.ranges)
				}
			})
			if c.err != nil {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("the error does not name the file: %v", err)
				}
				if _, err := os.Stat(blob); err == nil {
					t.Error("there is a blob all the same")
				}
				return
			}
			if got, err := os.ReadFile(paths[0]); err != nil || !bytes.Equal(got, repo.Files[name]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	open, gated, private := model(), model(), model()
	gated.Name, gated.Gated = "acme/gated", true
	private.Name, private.Private = "acme/private", true
	s := start(t, open, gated, private)
	for title, c := range map[string]struct {
		ref, token string
		kind       error
		want       []string
	}{
		"gated, no token":     {"hf://acme/gated", "", ErrAccess, []string{"accept its terms at " + s.URL + "/acme/gated", "/settings/tokens", "set HF_TOKEN"}},
		"gated, not granted":  {"hf://acme/gated", s.Token, ErrAccess, []string{"with that account", "awaiting a review"}},
		"refused token":       {"hf://acme/tiny", "hf_old", ErrAccess, []string{"the token is refused"}},
		"private, no token":   {"hf://acme/private", "", ErrNotFound, []string{"private", "set HF_TOKEN"}},
		"unknown":             {"hf://acme/unknown", s.Token, ErrNotFound, []string{"hf://acme/unknown", "check the name"}},
		"unknown revision":    {"hf://acme/tiny@v9", "", ErrNotFound, []string{`no revision "v9"`}},
		"private with token":  {"hf://acme/private", s.Token, nil, nil},
		"revision with slash": {"hf://acme/tiny@refs/pr/1", "", nil, nil},
	} {
		t.Run(title, func(t *testing.T) {
			cl := client(t, Options{Endpoint: s.URL, Token: c.token})
			_, err := cl.Resolve(t.Context(), parse(t, c.ref, Model))
			if !errors.Is(err, c.kind) {
				t.Fatalf("error %v, want %v", err, c.kind)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\ndoes not say %q", err, w)
				}
			}
			if err != nil && c.token != "" && strings.Contains(err.Error(), c.token) {
				t.Errorf("%v\nholds the token", err)
			}
		})
	}
}

func TestListThatLies(t *testing.T) {
	for _, lie := range []string{"../../x", "/etc/x", "a//b", "a/../../b", `..\x`, ".", "/", "a/", "./a", "a\x00b"} {
		s := start(t, model())
		s.With(func(s *hubtest.Server) { s.Lie = lie })
		c := client(t, Options{Endpoint: s.URL})
		if _, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model)); err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v", lie, err)
		}
	}
}

// An answer that was compressed a thousand to one is cut.
func TestAnswersThatSwell(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 2 * metaLimit >> 20 {
		z.Write(make([]byte, 1<<20)) //nolint:errcheck // to memory
	}
	z.Close() //nolint:errcheck // to memory
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(b.Bytes()) //nolint:errcheck // the client may be gone
	}))
	defer s.Close()
	c := client(t, Options{Endpoint: s.URL})
	var err error
	alloctest.Within(t, 0, 0, 8*metaLimit, func() { _, err = c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model)) })
	if err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Error(err)
	}
}

// Many clients that want one file load it once.
func TestConcurrent(t *testing.T) {
	s := start(t, model())
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		c := client(t, Options{Endpoint: s.URL, CacheDir: cache})
		wg.Go(func() {
			snap, err := c.Resolve(context.Background(), Ref{Kind: Model, Repo: "acme/tiny"})
			if err == nil {
				_, err = snap.Fetch(context.Background(), "model.safetensors")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	loads := 0
	for _, r := range s.Requests {
		if r == "cdn/acme/tiny/model.safetensors" {
			loads++
		}
	}
	if loads != 1 {
		t.Errorf("%d downloads", loads)
	}
}

func TestCancel(t *testing.T) {
	s := start(t, model())
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, Options{Endpoint: s.URL, Progress: func(Progress) { cancel() }})
	snap, err := c.Resolve(ctx, Ref{Kind: Model, Repo: "acme/tiny"})
	if err != nil {
		t.Fatal(err)
	}
	s.With(func(s *hubtest.Server) { s.Cut = 9 })
	if _, err := snap.Fetch(ctx, "model.safetensors"); err == nil {
		t.Error("no error")
	}
}

func TestFromEnv(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".cache", "huggingface"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".cache", "huggingface", "token"), []byte("hf_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for title, c := range map[string]struct {
		env  map[string]string
		want Options
	}{
		"defaults":  {nil, Options{CacheDir: filepath.Join(home, ".cache", "huggingface", "hub"), Token: "hf_file"}},
		"variables": {map[string]string{"HF_TOKEN": "hf_env", "HF_HOME": "~/h", "HF_ENDPOINT": "http://x", "HF_HUB_OFFLINE": "1"}, Options{Endpoint: "http://x", CacheDir: filepath.Join(home, "h", "hub"), Token: "hf_env", Offline: true}},
		"cache":     {map[string]string{"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}, Options{CacheDir: "/c"}},
		"no token":  {map[string]string{"HF_TOKEN": "x", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "XDG_CACHE_HOME": "/x"}, Options{CacheDir: "/x/huggingface/hub"}},
	} {
		got := FromEnv(func(k string) string {
			if k == "HOME" {
				return home
			}
			return c.env[k]
		})
		if got.Endpoint != c.want.Endpoint || got.CacheDir != c.want.CacheDir || got.Token != c.want.Token || got.Offline != c.want.Offline {
			t.Errorf("%s: %+v", title, got)
		}
	}
}
