package bundle

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/store"
)

func TestParseManifest(t *testing.T) {
	digest := string(store.DigestBytes(nil))
	entry := func(p string) string { return `{"path":"` + p + `","bytes":0,"digest":"` + digest + `"}` }
	manifest := func(more string, entries ...string) string {
		for i := range entries {
			entries[i] = entry(entries[i])
		}
		return `{"format":1,"recipe":"recipe/r.yaml"` + more + `,"entries":[` + strings.Join(entries, ",") + `]}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"sound", manifest("", "distillflow.lock", "recipe/r.yaml"), ""},
		{"no JSON", "{", "cannot be read"},
		{"another format", `{"format":2,"program":"9.9"}`, `format 2, this program knows 1: use the program that made it, version "9.9"`},
		{"no recipe", manifest("", "distillflow.lock"), "does not hold the recipe"},
		{"no lock", manifest("", "recipe/r.yaml"), "holds no distillflow.lock"},
		{"twice", manifest("", "distillflow.lock", "recipe/r.yaml", "recipe/r.yaml"), "twice or out of order"},
		{"out of order", manifest("", "recipe/r.yaml", "distillflow.lock"), "twice or out of order"},
		{"up", manifest("", "../x"), "leads out of"},
		{"up in the middle", manifest("", "recipe/../../x"), "leads out of"},
		{"absolute", manifest("", "/etc/passwd"), "leads out of"},
		{"backslash", manifest("", `recipe\\..\\x`), "leads out of"},
		{"a folder of its own", manifest("", "bin/x"), "not a path that a bundle can hold"},
		{"the manifest", manifest("", "manifest.json"), "not a path that a bundle can hold"},
		{"a folder as a file", manifest("", "recipe"), "not a path that a bundle can hold"},
		{"blob", manifest("", "blobs/00"), "gives the blob 00 the digest"},
		{"no digest", `{"format":1,"entries":[{"path":"answers.bin","bytes":1}]}`, "no size or no digest"},
		{"size", `{"format":1,"entries":[{"path":"answers.bin","bytes":-1,"digest":"` + digest + `"}]}`, "no size or no digest"},
		{"more than there is", `{"format":1,"entries":[{"path":"answers.bin","bytes":9223372036854775807,"digest":"` + digest + `"}]}`, "more than 1024 TiB"},
		{"more than there is, together", `{"format":1,"entries":[{"path":"answers.bin","bytes":1125899906842624,"digest":"` + digest + `"},{"path":"distillflow.lock","bytes":9223372036854775807,"digest":"` + digest + `"}]}`, "more than 1024 TiB"},
		{"stage twice", manifest(`,"stages":[{"name":"a"},{"name":"a"}]`, "distillflow.lock", "recipe/r.yaml"), `the stage "a" twice`},
		{"no action", manifest(`,"stages":[{"name":"a","key":"k","packed":true}]`, "distillflow.lock", "recipe/r.yaml"), "does not hold the result of stage a"},
		{"input folder", manifest(`,"inputs":[{"dir":"../x"}]`, "distillflow.lock", "recipe/r.yaml"), `the input folder "../x" is not in the bundle`},
		{"input file", manifest(`,"inputs":[{"dir":"recipe","files":[{"path":"../../x"}]}]`, "distillflow.lock", "recipe/r.yaml"), "leads out of"},
		{"input without its file", manifest(`,"inputs":[{"dir":"recipe","packed":true,"files":[{"path":"x","digest":"`+digest+`"}]}]`, "distillflow.lock", "recipe/r.yaml"), "tells two things"},
		{"remote file", manifest(`,"remote":[{"path":"cache/x","url":"hub://x","digest":"`+digest+`"}]`, "distillflow.lock", "recipe/r.yaml"), ""},
		{"remote file outside", manifest(`,"remote":[{"path":"cache/../x","digest":"`+digest+`"}]`, "distillflow.lock", "recipe/r.yaml"), "leads out of"},
		{"remote file elsewhere", manifest(`,"remote":[{"path":"recipe/x","digest":"`+digest+`"}]`, "distillflow.lock", "recipe/r.yaml"), "no proper place"},
		{"remote file without digest", manifest(`,"remote":[{"path":"cache/x"}]`, "distillflow.lock", "recipe/r.yaml"), "no proper place"},
		{"remote file that is not there", manifest(`,"remote":[{"path":"cache/x","packed":true,"digest":"`+digest+`"}]`, "distillflow.lock", "recipe/r.yaml"), "tells two things"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseManifest([]byte(c.text))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzUnpackNames: whatever a manifest says, nothing it names lies outside.
func FuzzUnpackNames(f *testing.F) {
	for _, s := range []string{"recipe/r.yaml", "../x", "recipe/../../x", "/x", "blobs//x", "recipe/.", "answers.bin", "recipe/a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if checkPath(p) != nil {
			return
		}
		if rel, err := filepath.Rel("/base", filepath.Join("/base", filepath.FromSlash(p))); err != nil || strings.HasPrefix(rel, "..") || rel == "." {
			t.Errorf("%q was let through and leads to %q", p, rel)
		}
	})
}

// FuzzLoadAnswers: a damaged file of answers is an error or a list, and no crash.
func FuzzLoadAnswers(f *testing.F) {
	good := make([]byte, 36, 40)
	good[32] = 4
	good = append(good, "text"...)
	f.Add(good)
	f.Add(good[:38])
	f.Add(append(bytes.Clone(good), good...))
	f.Add([]byte(strings.Repeat("\xff", 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		memo, err := store.OpenMemo(t.TempDir(), store.MemoOptions{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer memo.Close()
		n, err := loadAnswers(bytes.NewReader(b), memo)
		if err != nil {
			return
		}
		ids := map[string]bool{} // the memo files a key under its first half: it is a hash
		for rest := b; len(rest) > 0; rest = rest[36+binary.LittleEndian.Uint32(rest[32:]):] {
			ids[string(rest[:16])] = true
		}
		if got := memo.Stats().Records; got != len(ids) || got > n {
			t.Errorf("%d records of %d answers", got, n)
		}
	})
}

func TestLayout(t *testing.T) {
	l := layout{base: "/a/b/c"}
	l.above = max(l.ups("/a/b/c/data"), l.ups("/a/b/shared"), l.ups("/d/data"))
	for p, want := range map[string]string{
		"/a/b/c/r.yaml": "recipe/_up/_up/_up/r.yaml",
		"/a/b/c/data/x": "recipe/_up/_up/_up/data/x",
		"/a/b/shared/x": "recipe/_up/_up/shared/x",
		"/d/data/x":     "recipe/d/data/x",
	} {
		got, err := l.place(p)
		if err != nil || got != want {
			t.Errorf("place(%s) = %s, %v; want %s", p, got, err, want)
		}
	}
	if got := ancestor("/a/b/c", "/a/bc"); got != "/a" {
		t.Errorf("ancestor is %s", got)
	}
}
