package flow_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow"
)

// files lists the files below a folder of the bench.
func (b *bench) files(dir string) []string {
	b.t.Helper()
	var names []string
	err := filepath.WalkDir(b.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(b.path(dir), path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestSavedFolderIsReplacedAsAWhole(t *testing.T) {
	for _, target := range []string{"out", "out/"} {
		b := newBench(t, `
stages:
  a: {uses: box, with: {files: [x, y]}, save: `+target+`}
`)
		want := []string{"a.box/link", "a.box/x", "a.box/y"}
		for range 2 { // the second time, the target is there
			b.mustRunAny()
			if d := cmp.Diff(want, b.files("out")); d != "" {
				t.Error(d)
			}
		}
		if info, err := os.Stat(b.path("out/a.box/x")); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("the executable bit is lost: %v, %v", info, err)
		}
		if to, err := os.Readlink(b.path("out/a.box/link")); err != nil || to != "x" {
			t.Errorf("the link leads to %q, %v", to, err)
		}
		b.write("out/mine", "")
		b.edit("[x, y]", "[z]")
		b.mustRunAny()
		if d := cmp.Diff([]string{"a.box/link", "a.box/z", "mine"}, b.files("out")); d != "" {
			t.Errorf("after a change: %s", d)
		}
	}
}

func TestSaveOfAMatrixLeg(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b:
    uses: map
    from: a
    matrix: {m: [../org/one]}
    with: {suffix: "${{ matrix.m }}"}
    save: out/
`)
	b.mustRunAny()
	got := b.files("out")
	if len(got) != 1 || strings.Contains(strings.Join(got, " "), "/") {
		t.Errorf("saved %q", got)
	}
}

func TestStagesThatSaveToOneFile(t *testing.T) {
	b := newBench(t, `
params:
  on: false
stages:
  a: {uses: read, with: {file: words.txt}, save: out.jsonl}
  b: {uses: map, from: a, save: ./out.jsonl}
  c: {uses: map, from: a, save: out.jsonl, when: "${{ params.on }}"}
`)
	g, _, diags := b.load()
	if g != nil || len(diags) != 1 || !strings.Contains(diags[0].Error(), `"a" and "b" save to the same file`) {
		t.Errorf("diagnostics: %v", diags)
	}
	// A folder that is there already can take both.
	if err := os.Mkdir(b.path("out.jsonl"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.mustRunAny()
	if d := cmp.Diff([]string{"a.words.jsonl", "b.words.jsonl"}, b.files("out.jsonl")); d != "" {
		t.Error(d)
	}
}

func TestSaveThatCannotBe(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}, save: words.txt/out.jsonl}
  b: {uses: map, from: a}
`)
	_, _, err := b.run(flow.RunOptions{})
	if err == nil || !strings.Contains(err.Error(), "save: output words") {
		t.Errorf("error %v", err)
	}
	b.edit(", save: words.txt/out.jsonl", "")
	b.mustRun("b") // the result itself was published
}

func TestSavedFileIsLeftAloneIfItIsRight(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}, save: out.jsonl}
`)
	b.mustRunAny()
	want, err := os.ReadFile(b.path("out.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(b.path("out.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	b.mustRun("")
	after, err := os.Stat(b.path("out.jsonl"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("an unchanged file was replaced (%v)", err)
	}
	for _, damage := range []string{"", "x" + string(want[1:])} {
		b.write("out.jsonl", damage)
		b.mustRun("")
		if got, err := os.ReadFile(b.path("out.jsonl")); err != nil || string(got) != string(want) {
			t.Errorf("after damage: %q, %v", got, err)
		}
	}
}

// TestConvertedFileIsWrittenOnce is about files whose bytes are not the output's.
func TestConvertedFileIsWrittenOnce(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}, save: out/}
`)
	written := 0
	layout := flow.Layout{
		Version: 1,
		Suffix:  func(port string, _ bool) string { return "loud" },
		Write: func(w io.Writer, _ string, rows io.Reader) error {
			written++
			text, err := io.ReadAll(rows)
			if err != nil {
				return err
			}
			_, err = w.Write(bytes.ToUpper(text))
			return err
		},
	}
	b.eng.Layouts = map[string]flow.Layout{"word": layout}
	place := b.path("out/a.loud")
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(place)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	b.mustRunAny()
	want := read()
	if written != 1 || want != strings.ToUpper(want) || want == "" {
		t.Fatalf("written %d times: %q", written, want)
	}
	before, err := os.Stat(place)
	if err != nil {
		t.Fatal(err)
	}
	b.mustRun("")
	after, err := os.Stat(place)
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || written != 1 {
		t.Errorf("an unchanged file was written %d times (%v)", written, err)
	}

	step := func(name string, writes int, change func()) {
		t.Helper()
		change()
		now := written
		b.mustRunAny()
		if got := read(); got != want || written-now != writes {
			t.Errorf("%s: written %d times, want %d: %q", name, written-now, writes, got)
		}
	}
	step("edited, of the same size", 1, func() { b.write("out/a.loud", "x"+want[1:]) })
	step("cut off", 1, func() { b.write("out/a.loud", want[:3]) })
	step("deleted", 1, func() { _ = os.Remove(place) })
	receipts, err := filepath.Glob(b.path(".distillflow/saved/*"))
	if err != nil || len(receipts) != 1 {
		t.Fatalf("receipts %v, %v", receipts, err)
	}
	step("a damaged receipt", 1, func() {
		text, err := os.ReadFile(receipts[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(receipts[0], bytes.Replace(text, []byte(`"layout":1`), []byte(`"layout":2`), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	step("nothing", 0, func() {})
	step("a new version of the layout", 1, func() {
		layout.Version = 2
		b.eng.Layouts = map[string]flow.Layout{"word": layout}
	})
	b.write("words.txt", "other\n")
	b.mustRunAny()
	if got := read(); got == want || !strings.Contains(got, "OTHER") {
		t.Errorf("after new data: %q", got)
	}
}

func TestSavedFolderIsLeftAloneIfItIsRight(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: box, with: {files: [x, y]}, save: out}
`)
	b.mustRunAny()
	want := []string{"a.box/link", "a.box/x", "a.box/y"}
	stat := func() os.FileInfo {
		t.Helper()
		info, err := os.Stat(b.path("out/a.box"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	for _, c := range []struct {
		name   string
		change func() error
		kept   bool
	}{
		{"nothing", func() error { return nil }, true},
		{"a file was edited", func() error { b.write("out/a.box/x", "mine"); return nil }, false},
		{"a file was added", func() error { b.write("out/a.box/z", "mine"); return nil }, false},
		{"a folder was added", func() error { return os.Mkdir(b.path("out/a.box/d"), 0o755) }, false},
		{"a file was deleted", func() error { return os.Remove(b.path("out/a.box/y")) }, false},
		{"a file is executable no more", func() error { return os.Chmod(b.path("out/a.box/x"), 0o644) }, false},
		{"a link leads elsewhere", func() error {
			return errors.Join(os.Remove(b.path("out/a.box/link")), os.Symlink("y", b.path("out/a.box/link")))
		}, false},
		{"a link became a file", func() error {
			err := os.Remove(b.path("out/a.box/link"))
			b.write("out/a.box/link", "x")
			return err
		}, false},
	} {
		before := stat()
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		b.mustRun("")
		if kept := os.SameFile(before, stat()); kept != c.kept {
			t.Errorf("%s: the folder was kept: %v", c.name, kept)
		}
		if d := cmp.Diff(want, b.files("out")); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		if to, err := os.Readlink(b.path("out/a.box/link")); err != nil || to != "x" {
			t.Errorf("%s: the link leads to %q, %v", c.name, to, err)
		}
	}
}
