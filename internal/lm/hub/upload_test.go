package hub

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

// pushed are files of all kinds: small, large, empty, in a folder, in memory.
func pushed(t *testing.T) ([]Upload, map[string][]byte) {
	t.Helper()
	want := map[string][]byte{
		"README.md":                 []byte("# card\n"),
		"adapter_config.json":       []byte(`{"r": 8}`),
		"adapter_model.safetensors": random(250_000),
		"copy.safetensors":          random(250_000), // is sent once
		"data/train.parquet":        random(999),
		"empty.parquet":             {},
		"sub/a b.txt":               []byte("odd name"),
	}
	dir := t.TempDir()
	var list []Upload
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if name == "README.md" {
			list = append(list, Upload{Path: name, Data: want[name]})
			continue
		}
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(file, want[name], 0o644); err != nil {
			t.Fatal(err)
		}
		list = append(list, Upload{Path: name, File: file})
	}
	return list, want
}

// holds compares a repository with what was pushed.
func holds(t *testing.T, s *hubtest.Server, kind, name string, want map[string][]byte) {
	t.Helper()
	s.With(func(s *hubtest.Server) {
		r := s.Repo(kind, name)
		if r == nil {
			t.Fatalf("there is no %s %s", kind, name)
		}
		for n, data := range want {
			if !bytes.Equal(r.Files[n], data) {
				t.Errorf("%s: %d bytes arrived, want %d", n, len(r.Files[n]), len(data))
			}
			large := len(data) > 0 && (strings.HasSuffix(n, ".safetensors") || strings.HasSuffix(n, ".parquet"))
			if slices.Contains(r.Large, n) != large {
				t.Errorf("%s: large %v", n, !large)
			}
		}
		if len(s.Leaked) > 0 {
			t.Errorf("the token went to the store of large files: %q", s.Leaked)
		}
	})
}

func TestPush(t *testing.T) {
	files, want := pushed(t)
	for _, kind := range []Kind{Model, Dataset} {
		for name, parts := range map[string]int{"whole": 0, "in parts": 1000, "in even parts": 125_000} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				s := start(t)
				s.With(func(s *hubtest.Server) { s.PartSize = parts })
				var told Progress
				c := client(t, Options{Endpoint: s.URL, Token: s.Token, Progress: func(p Progress) {
					if p.File == "adapter_model.safetensors" {
						told = p
					}
				}})
				at := parse(t, "hf://acme/new", kind)
				done, err := c.Push(t.Context(), at, files, "first", true)
				if err != nil || !done.Created || done.Files != len(files) || done.Sent != 250_999 {
					t.Fatalf("%+v, %v", done, err)
				}
				holds(t, s, string(kind), "acme/new", want)
				if told.Done != 250_000 || told.Total != told.Done || !told.Sending {
					t.Errorf("progress %+v", told)
				}
				s.With(func(s *hubtest.Server) {
					if r := s.Repo(string(kind), "acme/new"); r.Commit() != done.Commit || !r.Private {
						t.Errorf("commit %s, private %v; the push said %+v", r.Commit(), r.Private, done)
					}
				})

				// Nothing changed: no commit. Then one file, and only it is sent.
				again, err := c.Push(t.Context(), at, files, "second", true)
				if err != nil || again.Created || again.Files != 0 || again.Sent != 0 || again.Commit != done.Commit {
					t.Errorf("pushed again: %+v, %v; want nothing but commit %s", again, err, done.Commit)
				}
				changed := append(slices.Clone(files[1:]), Upload{Path: "README.md", Data: []byte("# new\n")})
				third, err := c.Push(t.Context(), at, changed, "third", false)
				if err != nil || third.Files != 1 || third.Sent != 0 || third.Commit == done.Commit {
					t.Errorf("%+v, %v; want one file", third, err)
				}
				s.With(func(s *hubtest.Server) {
					if !slices.Equal(s.Commits, []string{"first", "third"}) || string(s.Repo(string(kind), "acme/new").Files["README.md"]) != "# new\n" {
						t.Errorf("commits %q", s.Commits)
					}
				})
			})
		}
	}
}

func TestPushGoesOn(t *testing.T) {
	files, want := pushed(t)
	s := start(t)
	c := client(t, Options{Endpoint: s.URL, Token: s.Token})
	at := parse(t, "hf://acme/new", Model)
	s.With(func(s *hubtest.Server) { s.LetUploads, s.FailUploads = 1, 100 })
	_, err := c.Push(t.Context(), at, files, "one", false)
	if err == nil || !strings.Contains(err.Error(), "push again: files that arrived are not sent again") || strings.Contains(err.Error(), "signature") {
		t.Fatal(err)
	}
	s.With(func(s *hubtest.Server) {
		if len(s.Commits) > 0 || len(s.Uploaded) != 1 {
			t.Errorf("commits %q, uploaded %q", s.Commits, s.Uploaded)
		}
		s.FailUploads = 0
	})
	done, err := c.Push(t.Context(), at, files, "two", false)
	if err != nil || done.Created || done.Sent == 0 || done.Sent == 250_999 {
		t.Errorf("%+v, %v; want one large file sent", done, err)
	}
	holds(t, s, "model", "acme/new", want)
	s.With(func(s *hubtest.Server) {
		if len(s.Uploaded) != 2 || !slices.Equal(s.Commits, []string{"two"}) {
			t.Errorf("uploaded %q, commits %q", s.Uploaded, s.Commits)
		}
	})
}

// What passes by itself is tried again.
func TestPushThroughFaults(t *testing.T) {
	files, want := pushed(t)
	s := start(t)
	s.With(func(s *hubtest.Server) { s.Busy, s.FailUploads, s.Racing = 2, 2, 1 })
	done, err := client(t, Options{Endpoint: s.URL, Token: s.Token}).Push(t.Context(), parse(t, "hf://acme/new", Dataset), files, "m", false)
	if err != nil || done.Created {
		t.Fatalf("%+v, %v; want a repository that somebody else made", done, err)
	}
	holds(t, s, "dataset", "acme/new", want)
}

func TestPushRefused(t *testing.T) {
	const secret = "hf_wrong-and-secret"
	small := []Upload{{Path: "a.txt", Data: []byte("a")}}
	public := func() *hubtest.Repo {
		return &hubtest.Repo{Kind: "model", Name: "acme/there", Files: map[string][]byte{".gitignore": []byte("b.txt")}}
	}
	for name, c := range map[string]struct {
		token   string // "": the right one
		files   []Upload
		repo    string
		private bool
		set     func(*hubtest.Server)
		want    string
		is      error
	}{
		"no token":       {token: "none", want: "no token is set: make one that may write at", is: ErrAccess},
		"wrong token":    {token: secret, want: "the token is refused: make", is: ErrAccess},
		"may not create": {set: func(s *hubtest.Server) { s.ReadOnly = true }, want: "hf://acme/new: the token may not write there: it needs the permission to write", is: ErrAccess},
		"may not write":  {repo: "acme/there", set: func(s *hubtest.Server) { s.ReadOnly = true }, want: "its account must be acme or a member of it", is: ErrAccess},
		"public":         {repo: "acme/there", private: true, want: "the repository is public, and --private makes new ones only"},
		"made public":    {private: true, set: func(s *hubtest.Server) { s.Open = true }, want: "the repository is public"},
		"ignored":        {repo: "acme/there", files: []Upload{{Path: "b.txt", Data: []byte("b")}}, want: ".gitignore forbids b.txt"},
		"moved":          {repo: "acme/there", set: func(s *hubtest.Server) { s.Moved = 1 }, want: "somebody else changed the repository meanwhile: push again"},
		"name":           {files: []Upload{{Path: "../x"}}, want: `the file name "../x"`},
		"twice":          {files: []Upload{{Path: "x"}, {Path: "x"}}, want: "listed twice"},
		"gone":           {files: []Upload{{Path: "x", File: filepath.Join("no", "such")}}, want: "no such file", is: os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, public())
			if c.set != nil {
				s.With(c.set)
			}
			o := Options{Endpoint: s.URL, Token: s.Token}
			switch c.token {
			case "none":
				o.Token = ""
			case "":
			default:
				o.Token = c.token
			}
			if c.files == nil {
				c.files = small
			}
			if c.repo == "" {
				c.repo = "acme/new"
			}
			_, err := client(t, o).Push(t.Context(), parse(t, "hf://"+c.repo, Model), c.files, "m", c.private)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("%v; want %q", err, c.want)
			}
			if strings.Contains(err.Error(), s.Token) || strings.Contains(err.Error(), secret) {
				t.Errorf("the token is in the error: %v", err)
			}
			s.With(func(s *hubtest.Server) {
				if len(s.Commits)+len(s.Uploaded) > 0 {
					t.Errorf("commits %q, uploaded %q", s.Commits, s.Uploaded)
				}
			})
		})
	}
}
