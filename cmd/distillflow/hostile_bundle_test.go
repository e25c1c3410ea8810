package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A bundle comes from somebody else. Nothing in it gets out of the folder that it is unpacked
// into, and it cannot fill the disk.
func TestHostileBundles(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // of nothing
	entry := func(path string, size int64) string {
		return fmt.Sprintf(`{"path":%q,"bytes":%d,"digest":%q}`, path, size, digest)
	}
	sound := entry("distillflow.lock", 0) + "," + entry("recipe/r.yaml", 0)
	type file struct {
		name string
		kind byte
		link string
		size int64
	}
	lock, recipe := file{name: "distillflow.lock", kind: tar.TypeReg}, file{name: "recipe/r.yaml", kind: tar.TypeReg}
	for _, c := range []struct {
		name, entries string
		files         []file
		want          string
	}{
		{"a path that leads out", entry("../../evil", 0) + "," + sound, nil, "leads out"},
		{"an absolute path", entry("/tmp/evil", 0) + "," + sound, nil, "leads out"},
		{"a file that the manifest does not list", sound, []file{lock, {name: "../evil", kind: tar.TypeReg}}, "where its manifest has"},
		{"a link", sound, []file{lock, {name: "recipe/r.yaml", kind: tar.TypeSymlink, link: "/etc/passwd"}}, "not a regular file"},
		{"a hard link", sound, []file{lock, {name: "recipe/r.yaml", kind: tar.TypeLink, link: "/etc/passwd"}}, "not a regular file"},
		{"a device", sound, []file{lock, {name: "recipe/r.yaml", kind: tar.TypeChar}}, "not a regular file"},
		{"a pipe", sound, []file{lock, {name: "recipe/r.yaml", kind: tar.TypeFifo}}, "not a regular file"},
		{"a folder", sound, []file{lock, {name: "recipe/r.yaml", kind: tar.TypeDir}}, "not a regular file"},
		{"a file behind the last", sound, []file{lock, recipe, {name: "recipe/s", kind: tar.TypeReg}}, "does not list"},
		{"a file that is cut off", sound, []file{lock}, "ends before"},
		{"more than the disk", entry("blobs/"+digest[7:], 900<<40) + "," + sound, nil, "has room for"},
		{"more than any disk", entry("blobs/"+digest[7:], 1<<62) + "," + sound, nil, "more than"},
		{"a bomb", entry("answers.bin", 64<<20) + "," + sound, []file{{name: "answers.bin", kind: tar.TypeReg, size: 64 << 20}}, "does not have the content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			z, err := zstd.NewWriter(&b)
			if err != nil {
				t.Fatal(err)
			}
			w := tar.NewWriter(z)
			manifest := `{"format":1,"recipe":"recipe/r.yaml","entries":[` + c.entries + `]}`
			put := func(h *tar.Header, content []byte) {
				if err := w.WriteHeader(h); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(content); err != nil {
					t.Fatal(err)
				}
			}
			put(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: int64(len(manifest)), Mode: 0o644}, []byte(manifest))
			for _, f := range c.files {
				put(&tar.Header{Typeflag: f.kind, Name: f.name, Linkname: f.link, Size: f.size, Mode: 0o644}, make([]byte, f.size))
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			packed := filepath.Join(root, "b.tar.zst")
			if err := os.WriteFile(packed, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			var errs bytes.Buffer
			a := app{in: strings.NewReader(""), out: &errs, err: &errs, getenv: func(string) string { return "" }}
			if status := a.run(context.Background(), []string{"bundle", "replay", packed, "--dir", filepath.Join(root, "in", "out")}); status != exitUsage {
				t.Errorf("status %d, want %d", status, exitUsage)
			}
			if !strings.Contains(errs.String(), c.want) {
				t.Errorf("error %q, want %q", errs.String(), c.want)
			}
			left, err := filepath.Glob(filepath.Join(root, "*"))
			if err != nil || len(left) > 2 {
				t.Errorf("left %v, %v", left, err)
			}
			if rest, _ := os.ReadDir(filepath.Join(root, "in", "out")); len(rest) > 0 {
				t.Errorf("left %v in the folder", rest)
			}
		})
	}
}
