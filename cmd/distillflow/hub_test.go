package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

// hubKey is where a script's Hub is kept.
type hubKey struct{}

// cmdHub serves a folder with datasets/OWNER/NAME and models/OWNER/NAME over the
// protocol of the Hugging Face Hub, in place of what was served before, and lets
// HF_ENDPOINT point there. "hub stop" serves no more. "hub save FOLDER" writes what is
// served to such a folder, "hub commits N" compares the number of commits that came.
func cmdHub(ts *testscript.TestScript, neg bool, args []string) {
	served, ok := ts.Value(hubKey{}).(*[]*hubtest.Server)
	if !ok {
		ts.Fatalf("no place for the server")
	}
	if !neg && len(args) == 2 && len(*served) > 0 {
		hubAsked(ts, (*served)[0], args[0], args[1])
		return
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hub FOLDER, hub stop, hub save FOLDER, or hub commits N")
	}
	for _, s := range *served {
		s.Close()
	}
	*served = nil
	if args[0] == "stop" {
		return
	}
	var repos []*hubtest.Repo
	for _, kind := range []string{"dataset", "model"} {
		root := ts.MkAbs(filepath.Join(args[0], kind+"s"))
		dirs, err := filepath.Glob(filepath.Join(root, "*", "*"))
		ts.Check(err)
		for _, dir := range dirs {
			name, err := filepath.Rel(root, dir)
			ts.Check(err)
			r := &hubtest.Repo{Kind: kind, Name: filepath.ToSlash(name), Files: map[string][]byte{}}
			ts.Check(filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel(dir, p)
				if err != nil {
					return err
				}
				name := filepath.ToSlash(rel)
				if slices.Contains([]string{".safetensors", ".gguf", ".parquet"}, filepath.Ext(p)) {
					r.Large = append(r.Large, name)
				}
				r.Files[name], err = os.ReadFile(p)
				return err
			}))
			r.Gated = strings.HasSuffix(r.Name, "-gated")
			repos = append(repos, r)
		}
	}
	s := hubtest.New(repos...)
	*served = append(*served, s)
	ts.Defer(s.Close)
	ts.Setenv("HF_ENDPOINT", s.URL)
	ts.Setenv("HF_HOME", ts.MkAbs("hf"))
}

// hubAsked looks at what came to a Hub.
func hubAsked(ts *testscript.TestScript, s *hubtest.Server, what, arg string) {
	s.With(func(s *hubtest.Server) {
		switch what {
		case "save":
			for _, r := range s.Repos() {
				for name, data := range r.Files {
					to := filepath.Join(ts.MkAbs(arg), r.Kind+"s", filepath.FromSlash(r.Name), filepath.FromSlash(name))
					ts.Check(os.MkdirAll(filepath.Dir(to), 0o755))
					ts.Check(os.WriteFile(to, data, 0o644))
				}
			}
		case "commits":
			if arg != strconv.Itoa(len(s.Commits)) {
				ts.Fatalf("%d commits, want %s: %q", len(s.Commits), arg, s.Commits)
			}
		default:
			ts.Fatalf("hub has no command %s", what)
		}
		if len(s.Leaked) > 0 {
			ts.Fatalf("the token went to the store of large files: %q", s.Leaked)
		}
	})
}
