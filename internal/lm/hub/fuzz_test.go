package hub

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// No file of a list that is taken lies outside the cache, whatever its name.
func FuzzCheckFiles(f *testing.F) {
	const sum = `"blob":"0123456789012345678901234567890123456789"`
	for _, name := range []string{"config.json", "a/b", "../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a\\\\..\\\\b", "", ".", "..", "a/", "a\\u0000b", "C:/x", "nul", "\\u202e/x"} {
		f.Add([]byte(`[{"path":"` + name + `","size":1,` + sum + `}]`))
	}
	f.Add([]byte(`[{"path":"a","size":1,` + sum + `},{"path":"a-b","size":1,` + sum + `},{"path":"a/b/c","size":1,` + sum + `}]`))
	f.Add([]byte(`[{"path":"a","size":-1,"blob":"x","sha256":"../../x"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			var files []File
			if json.Unmarshal(b, &files) != nil || checkFiles(files) != nil {
				return
			}
			for i, x := range files {
				for _, p := range []string{x.Path, x.checksum()} {
					rel, err := filepath.Rel("/cache/snapshot", filepath.Join("/cache/snapshot", filepath.FromSlash(p)))
					if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") || strings.ContainsRune(p, 0) {
						t.Errorf("%q leads to %q", p, rel)
					}
				}
				for _, y := range files {
					if strings.HasPrefix(y.Path, x.Path+"/") {
						t.Errorf("%q is a file and the folder of %q", x.Path, y.Path)
					}
				}
				if i > 0 && files[i-1].Path >= x.Path {
					t.Errorf("%q behind %q", x.Path, files[i-1].Path)
				}
			}
		})
	})
}

// A card is read within bounds of memory and time, and so are its patterns.
func FuzzReadCard(f *testing.F) {
	f.Add(gsmCard, "main/train-00000-of-00001.parquet")
	f.Add("---\nconfigs:\n- {config_name: a, data_files: \""+strings.Repeat("**/", 30)+"x\"}\n---\n", strings.Repeat("a/", 40)+"b")
	f.Add("---\nconfigs: &a [*a]\n---\n", "x")
	f.Add("---\r\nconfigs: [{data_files: [{split: [], path: {}}]}]\r\n---", "x")
	f.Fuzz(func(t *testing.T, card, name string) {
		if len(card) > 1<<14 || len(name) > 1<<10 {
			t.Skip()
		}
		file := filepath.Join(t.TempDir(), CardName)
		if err := os.WriteFile(file, []byte(card), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		alloctest.Within(t, len(card)+len(name), 5000, 4<<20, func() {
			configs, err := readCard(file)
			if err != nil {
				return
			}
			for _, c := range configs {
				for _, s := range c.splits() {
					for _, p := range s.Path {
						globMatch(p, name)
					}
				}
			}
			splitName(name)
		})
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s for a card of %d bytes", d, len(card))
		}
	})
}

// FuzzGlobMatch compares the match with one by trial.
func FuzzGlobMatch(f *testing.F) {
	f.Add("**/train-*", "a/b/train-0.parquet")
	f.Add("a/**", "a")
	f.Add("**/**/x", "x")
	f.Add("[a-/**", "a/b")
	var slow func(pattern, segs []string) bool
	slow = func(pattern, segs []string) bool {
		switch {
		case len(pattern) == 0:
			return len(segs) == 0
		case pattern[0] == "**":
			return slow(pattern[1:], segs) || len(segs) > 0 && slow(pattern, segs[1:])
		case len(segs) == 0:
			return false
		}
		ok, err := path.Match(pattern[0], segs[0])
		return ok && err == nil && slow(pattern[1:], segs[1:])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, segs := strings.Split(pattern, "/"), strings.Split(name, "/")
		if len(segs) < 7 && len(p) < 7 && globMatch(pattern, name) != slow(p, segs) {
			t.Errorf("%q on %q: %v", pattern, name, !slow(p, segs))
		}
	})
}

// A page of a list of files takes memory in proportion, whatever its entries are.
func FuzzTreePage(f *testing.F) {
	f.Add([]byte(`[{"type":"file","path":"a","oid":"x","size":1,"lfs":{"oid":"sha256:y","size":2}},{"type":"directory"}]`))
	f.Add([]byte(`[null,{},{}]`))
	f.Add([]byte(`{"error":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) { readTreePage(t, b) })
}

// Beside the seeds of the search, which are copied for every input: the most files.
func TestTreePage(t *testing.T) {
	readTreePage(t, []byte("["+strings.Repeat("{},", 400_000)+"{}]"))
}

func readTreePage(t *testing.T, b []byte) {
	t.Helper()
	alloctest.Within(t, len(b), 100, 64<<20, func() {
		var p treePage
		if json.Unmarshal(b, &p) == nil && len(p) > maxFiles+1 {
			t.Errorf("%d files", len(p))
		}
	})
}
