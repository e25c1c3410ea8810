package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeTree(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func sampleTree(t testing.TB, s *Store) string {
	t.Helper()
	dir, err := s.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	writeTree(t, dir, map[string]string{
		"config.json": `{"layers": 2}`, "weights/a.bin": "0123456789", "weights/b.bin": "", "run.sh": "#!/bin/sh\n",
		"a b/ü ☃.txt": "non-ASCII", "weights-x": "sorts between",
	})
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("weights/a.bin", filepath.Join(dir, "latest")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTreeRoundTrip(t *testing.T) {
	s, warned := newStore(t)
	d, size, err := s.PutTree(sampleTree(t, s), Durable)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(`{"layers": 2}`) + 10 + 10 + len("non-ASCII") + len("sorts between")); size != want {
		t.Errorf("size %d, want %d", size, want)
	}
	// The digest depends on content only.
	d2, _, err := s.PutTree(sampleTree(t, s), Relaxed)
	if err != nil || d2 != d {
		t.Fatal("a second equal folder has another digest", err)
	}
	for range 2 {
		p, err := s.MaterializeTree(d)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(p, "latest")); err != nil || string(b) != "0123456789" {
			t.Fatal(b, err)
		}
		if fi, err := os.Stat(filepath.Join(p, "run.sh")); err != nil || fi.Mode().Perm() != 0o555 {
			t.Fatal(fi.Mode(), err)
		}
		if fi, err := os.Stat(filepath.Join(p, "config.json")); err != nil || fi.Mode().Perm() != 0o444 {
			t.Fatal(fi.Mode(), err)
		}
		if fi, err := os.Stat(filepath.Join(p, "empty")); err != nil || !fi.IsDir() {
			t.Fatal(err)
		}
	}
	if warned.count() != 0 {
		t.Error(warned.all)
	}
}

func TestTreeRefuses(t *testing.T) {
	s, _ := newStore(t)
	outside := t.TempDir()
	if err := os.Symlink("../../secret", filepath.Join(outside, "l")); err != nil {
		t.Fatal(err)
	}
	absolute := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(absolute, "l")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"link outside": outside, "absolute link": absolute, "missing": filepath.Join(outside, "none"), "file": file} {
		if _, _, err := s.PutTree(dir, Relaxed); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}

func TestMaterializedTreeHeals(t *testing.T) {
	harms := map[string]func(t *testing.T, p string){
		"file changed": func(t *testing.T, p string) { overwrite(t, filepath.Join(p, "run.sh"), []byte("#!/bin/xx\n")) },
		"file removed": func(t *testing.T, p string) { os.Remove(filepath.Join(p, "config.json")) },
		"file added": func(t *testing.T, p string) {
			if err := os.WriteFile(filepath.Join(p, "extra"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"link changed": func(t *testing.T, p string) {
			os.Remove(filepath.Join(p, "latest"))
			if err := os.Symlink("weights/b.bin", filepath.Join(p, "latest")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			s, warned := newStore(t)
			d, _, err := s.PutTree(sampleTree(t, s), Relaxed)
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.MaterializeTree(d)
			if err != nil {
				t.Fatal(err)
			}
			harm(t, p)
			p2, err := s.MaterializeTree(d)
			if err != nil || p2 != p {
				t.Fatal(p2, err)
			}
			entries, _ := s.Tree(d)
			if problem := s.checkMaterialized(p, entries, false); problem != "" {
				t.Error(problem)
			}
			if warned.count() == 0 {
				t.Error("no warning")
			}
		})
	}
}

// Writing through a hard link harms the blob itself: the action is a miss.
func TestWriteThroughHardLinkIsSeen(t *testing.T) {
	s, _ := newStore(t)
	d, n, err := s.PutTree(sampleTree(t, s), Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	a := &Action{Key: testKey(1), Type: "train", Outputs: map[string]Output{"models": {Kind: KindDir, Digest: d, Bytes: n}}}
	if _, err := s.PutAction(a, Relaxed); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.GetAction(a.Key); !ok || err != nil {
		t.Fatal(ok, err)
	}
	p, err := s.MaterializeTree(d)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, filepath.Join(p, "weights", "a.bin"), []byte("012345678X"))
	fresh, _ := openStore(t, s.Dir(), Options{})
	got, ok, err := fresh.GetAction(a.Key)
	if err != nil {
		t.Fatal(err)
	}
	// Where the system copied, the blob is untouched and the folder heals.
	if ok {
		if _, err := fresh.MaterializeTree(d); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(filepath.Join(p, "weights", "a.bin")); string(b) != "0123456789" {
			t.Fatalf("wrong content %q after a hit", b)
		}
		return
	}
	if !strings.Contains(got.Damage, "weights/a.bin") {
		t.Errorf("the damage does not name the file: %s", got.Damage)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	d := string(DigestBytes(nil))
	for name, entries := range map[string]string{
		"climbs":         `{"path":"../x","digest":"` + d + `"}`,
		"absolute":       `{"path":"/x","digest":"` + d + `"}`,
		"not clean":      `{"path":"a//b","digest":"` + d + `"}`,
		"dot":            `{"path":".","digest":"` + d + `"}`,
		"order":          `{"path":"b","digest":"` + d + `"},{"path":"a","digest":"` + d + `"}`,
		"twice":          `{"path":"a","digest":"` + d + `"},{"path":"a","digest":"` + d + `"}`,
		"below file":     `{"path":"a","digest":"` + d + `"},{"path":"a/b","digest":"` + d + `"}`,
		"below link":     `{"path":"a","link":"c"},{"path":"a/b","digest":"` + d + `"},{"path":"c","dir":true}`,
		"link climbs":    `{"path":"a","link":"../c"}`,
		"link absolute":  `{"path":"a","link":"/c"}`,
		"no kind":        `{"path":"a"}`,
		"two kinds":      `{"path":"a","dir":true,"digest":"` + d + `"}`,
		"bad digest":     `{"path":"a","digest":"sha256:00"}`,
		"negative size":  `{"path":"a","size":-1,"digest":"` + d + `"}`,
		"folder between": `{"path":"a!","digest":"` + d + `"},{"path":"a/b","digest":"` + d + `"},{"path":"a","dir":true}`,
	} {
		if _, err := parseManifest([]byte(`{"format":"` + treeFormat + `","entries":[` + entries + `]}`)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := parseManifest([]byte(`{"format":"other","entries":[]}`)); err == nil {
		t.Error("foreign format accepted")
	}
}

func FuzzParseManifest(f *testing.F) {
	good, _ := encodeManifest([]TreeEntry{
		{Path: "a", Digest: DigestBytes(nil)}, {Path: "b/c", Dir: true}, {Path: "d", Link: "a"},
	})
	f.Add(good)
	f.Add([]byte(`{"format":"distillflow-tree/1","entries":[{"path":"a/../b","link":".."}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseManifest(b)
		if err != nil {
			return
		}
		for _, e := range entries {
			if !filepath.IsLocal(filepath.FromSlash(e.Path)) {
				t.Fatalf("path %q leaves the tree", e.Path)
			}
		}
		again, err := encodeManifest(entries)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseManifest(again); err != nil {
			t.Fatalf("own encoding refused: %v", err)
		}
	})
}
