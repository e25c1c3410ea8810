package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

// hubKey is where a script's Hub is kept.
type hubKey struct{}

// cmdHub serves a folder with datasets/OWNER/NAME and models/OWNER/NAME over the
// protocol of the Hugging Face Hub, in place of what was served before, and lets
// HF_ENDPOINT point there. "hub stop" serves no more.
func cmdHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hub FOLDER, or hub stop")
	}
	served, ok := ts.Value(hubKey{}).(*[]*hubtest.Server)
	if !ok {
		ts.Fatalf("no place for the server")
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
