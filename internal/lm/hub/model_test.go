package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

func pathsOf(files []File) string {
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	return strings.Join(names, " ")
}

// What makes up a model is known without its weights, with their checksums.
func TestModelFiles(t *testing.T) {
	const index = `{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`
	repo := &hubtest.Repo{Kind: "model", Name: "acme/forms", Files: map[string][]byte{
		"config.json": []byte("{}"), "README.md": []byte("x"), "model.safetensors": random(10), "q4.gguf": random(11), "pytorch_model.bin": random(9),
		"sharded/config.json": []byte("{}"), "sharded/model.safetensors.index.json": []byte(index),
		"sharded/model-00001-of-00002.safetensors": random(12), "sharded/model-00002-of-00002.safetensors": random(13),
		"lost/model.safetensors.index.json": []byte(index),
		"pickled/pytorch_model.bin":         random(14),
	}, Large: []string{"model.safetensors", "q4.gguf"}}
	s := start(t, repo)
	for ref, want := range map[string][3]string{
		"hf://acme/forms":           {"config.json", "model.safetensors"},
		"hf://acme/forms/q4.gguf":   {"config.json", "q4.gguf"},
		"hf://acme/forms/no.gguf":   {"", "", `there is no file "no.gguf"`},
		"hf://acme/forms/sharded":   {"sharded/config.json sharded/model.safetensors.index.json", "sharded/model-00001-of-00002.safetensors sharded/model-00002-of-00002.safetensors"},
		"hf://acme/forms/lost":      {"", "", `there is no file "lost/model-00001-of-00002.safetensors"`},
		"hf://acme/forms/pickled":   {"", "", "name one of them as in hf://acme/forms/q4.gguf"},
		"hf://acme/forms@refs/pr/1": {"config.json", "model.safetensors"},
	} {
		snap, err := client(t, Options{Endpoint: s.URL}).Resolve(t.Context(), parse(t, ref, Model))
		if err != nil {
			t.Fatal(err)
		}
		small, weights, err := snap.ModelFiles(t.Context(), CausalFiles)
		if want[2] != "" {
			if err == nil || !strings.Contains(err.Error(), want[2]) {
				t.Errorf("%s: error %v, want %q", ref, err, want[2])
			}
			continue
		}
		if err != nil || pathsOf(small) != want[0] || pathsOf(weights) != want[1] {
			t.Errorf("%s: %q and %q, %v", ref, pathsOf(small), pathsOf(weights), err)
		}
		if snap.Ref.Path == "" && weights[0].SHA256 == "" {
			t.Errorf("%s: the checksum of the weights is not known", ref)
		}
		if got := snap.Exact().String(); !strings.HasPrefix(got, "hf://acme/forms@"+repo.Commit()) || !strings.HasSuffix(got, snap.Ref.Path) {
			t.Errorf("%s is exactly %s", ref, got)
		}
	}
	s.With(func(s *hubtest.Server) {
		if i := slices.IndexFunc(s.Requests, func(r string) bool { return strings.HasSuffix(r, ".gguf") || strings.HasSuffix(r, ".safetensors") }); i >= 0 {
			t.Errorf("weights were asked for: %s", s.Requests[i])
		}
	})
}

// Content that is there from another commit is not loaded again.
func TestPresent(t *testing.T) {
	repo := model()
	s := start(t, repo)
	const name = "model.safetensors"
	cache, ref := t.TempDir(), parse(t, "hf://acme/tiny", Model)
	resolve := func() *Snapshot {
		snap, err := client(t, Options{Endpoint: s.URL, CacheDir: cache}).Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	first := resolve()
	if ok, err := first.Present(t.Context(), name); ok || err != nil {
		t.Errorf("before it is fetched: %v, %v", ok, err)
	}
	if _, err := first.Fetch(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.With(func(s *hubtest.Server) { repo.Files["README.md"] = []byte("new"); s.Requests = nil })
	second := resolve()
	if ok, err := second.Present(t.Context(), name); !ok || err != nil {
		t.Errorf("with another commit: %v, %v", ok, err)
	}
	if _, err := os.Stat(second.Place(name)); err != nil || second.Commit == first.Commit {
		t.Error(err)
	}
	s.With(func(s *hubtest.Server) {
		if slices.ContainsFunc(s.Requests, func(r string) bool { return strings.Contains(r, name) }) {
			t.Errorf("it was asked for: %v", s.Requests)
		}
	})
}

// A process means one commit by one name, and can ask what the Hub has now.
func TestResolveOnce(t *testing.T) {
	repo := model()
	s := start(t, repo)
	cache, ref := t.TempDir(), parse(t, "hf://acme/tiny", Model)
	o := Options{Endpoint: s.URL, CacheDir: cache}
	first, err := client(t, o).ResolveOnce(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	s.With(func(*hubtest.Server) { repo.Files["config.json"] = []byte(`{"model_type":"gemma"}`) })
	again, err := client(t, o).ResolveOnce(t.Context(), parse(t, "hf://acme/tiny/config.json", Model))
	if err != nil || again.Commit != first.Commit {
		t.Errorf("then it was %v, %v", again.Commit, err)
	}
	now, err := client(t, o).Latest(t.Context(), ref)
	if err != nil || now == first.Commit || now != repo.Commit() {
		t.Errorf("the latest is %s, %v", now, err)
	}
	if kept, err := client(t, o).Cached(ref); err != nil || kept.Commit != first.Commit {
		t.Errorf("asking has moved the cache to %v, %v", kept, err)
	}
	if _, err := client(t, Options{Endpoint: s.URL, CacheDir: cache, Offline: true}).Latest(t.Context(), ref); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
}

// Options that say nothing mean the environment's Hub; its downloads are observed.
func TestEnvironment(t *testing.T) {
	repo := model()
	s := start(t, repo)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, n := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"} {
		t.Setenv(n, "")
	}
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Int64
	Observe(func(p Progress) { done.Store(p.Done) })
	defer Observe(nil)
	at, err := snap.Fetch(t.Context(), "model.safetensors")
	if err != nil || done.Load() != 300_000 || at[0] != snap.Place("model.safetensors") {
		t.Errorf("%d bytes were told of %v, %v", done.Load(), at, err)
	}
	if _, err := os.Stat(snap.ListFile()); err != nil || !strings.HasPrefix(snap.ListFile(), snap.Cache()) {
		t.Error(err)
	}
}

// Every way in which a download ends early says what to do.
func TestWhatToDo(t *testing.T) {
	c := client(t, Options{Endpoint: "http://hub.invalid"})
	for _, x := range []struct {
		title string
		err   error
		want  []string
	}{
		{"disk full", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, []string{"4 MB more are needed in " + c.cache, "make room", "HF_HOME", "goes on from there"}},
		{"cut off", fmt.Errorf("%w: the connection ended", ErrOffline), []string{"run again", "goes on from there"}},
		{"checksum", fmt.Errorf("%w: try again", ErrChecksum), []string{"try again"}},
		{"refused", &failure{text: "set HF_TOKEN", kind: ErrAccess}, []string{"set HF_TOKEN"}},
	} {
		err := c.interrupted(x.err, 3_000_001)
		for _, w := range x.want {
			if !strings.Contains(err.Error(), w) || !errors.Is(err, x.err) {
				t.Errorf("%s: %v\ndoes not say %q", x.title, err, w)
			}
		}
	}
	t.Run("no network and no cache", func(t *testing.T) {
		s := hubtest.New()
		s.Close()
		c := client(t, Options{Endpoint: s.URL})
		_, err := c.Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
		for _, w := range []string{"hf://acme/tiny", "HTTPS_PROXY", "HF_ENDPOINT", s.URL, c.cache} {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v\ndoes not say %q", err, w)
			}
		}
	})
	t.Run("cache that cannot be written", func(t *testing.T) {
		s := start(t, model())
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := client(t, Options{Endpoint: s.URL, CacheDir: file}).Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
		if err == nil || !strings.Contains(err.Error(), "set HF_HOME") {
			t.Error(err)
		}
	})
	t.Run("a Hub that is down", func(t *testing.T) {
		s := start(t, model())
		s.With(func(s *hubtest.Server) { s.Busy = 99 })
		_, err := client(t, Options{Endpoint: s.URL}).Resolve(t.Context(), parse(t, "hf://acme/tiny", Model))
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "try again later") {
			t.Error(err)
		}
	})
}
