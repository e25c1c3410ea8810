package flow_test

import (
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
