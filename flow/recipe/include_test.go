package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInclude(t *testing.T) {
	read := files(map[string]string{
		"lib/base.yaml": "name: base\nseed: 3\nparams: {data: {type: path, default: d.jsonl}, n: 1}\nstages:\n  old: {uses: scan}\n  graded: {uses: verify-math, from: old}\n",
		"lib/teach/ask.yaml": `
name: ask
seed: 99
include: common.yaml
env: [PLACE]
params: {teacher: {default: sim, help: who}, prompt: {type: path, default: p.txt}}
profiles: {big: {teacher: large}}
stages:
  ask: {uses: batch-llm, from: problems, with: {model: "${{ params.teacher }}", prompt: "${{ params.prompt }}", more: {a: 1}}, save: out/}
`,
		"lib/teach/common.yaml": "stages: {problems: {uses: scan, with: {root: data}}}\n",
		"lib/grade.yaml":        "include: teach/common.yaml\nenv: [OTHER]\nprofiles: {big: {n: 7}}\nstages: {graded: {uses: verify-choice, from: ask}}\n",
	})
	r := mustParse(t, "mine/r.yaml", `
extends: ../lib/base.yaml
include: [../lib/teach/ask.yaml, ../lib/grade.yaml]
params: {teacher: other}
profiles: {big: {data: big.jsonl}}
stages:
  ask: {with: {more: {b: 2}}}
  old: null
`, Options{Profile: "big", ReadFile: read})
	if r.Name != "base" || r.Seed != 3 {
		t.Errorf("name and seed come from what is extended, not from what is included: %q %d", r.Name, r.Seed)
	}
	if diff := cmp.Diff([]string{"PLACE", "OTHER"}, r.Env); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, s := range r.Stages {
		names = append(names, s.Name+":"+s.Uses)
	}
	if diff := cmp.Diff([]string{"graded:verify-choice", "problems:scan", "ask:batch-llm"}, names); diff != "" {
		t.Error(diff)
	}
	ask := r.Stage("ask")
	want := map[string]any{"model": "large", "prompt": "p.txt", "more": map[string]any{"a": int64(1), "b": int64(2)}}
	if diff := cmp.Diff(want, ask.With.Interface()); diff != "" {
		t.Error(diff)
	}
	if got, want := ask.With.Lookup("prompt").Path(), filepath.Join("lib", "teach", "p.txt"); got != want {
		t.Errorf("a path of the included recipe resolves to %q, not %q", got, want)
	}
	if got, want := ask.SavePath(), filepath.Join("lib", "teach", "out")+"/"; got != want {
		t.Errorf("`save` of the included recipe resolves to %q, not %q", got, want)
	}
	if got, want := r.Param("data").Value.Path(), filepath.Join("mine", "big.jsonl"); got != want {
		t.Errorf("the profile's path resolves to %q, not %q", got, want)
	}
	if got, want := ask.With.Lookup("more").Lookup("a").Pos.String(), filepath.Join("lib", "teach", "ask.yaml")+":9:123"; got != want {
		t.Errorf("position %s, not %s", got, want)
	}
	if p := r.Param("teacher"); p.Help != "who" || p.Default.Str != "other" {
		t.Errorf("teacher: %+v", p)
	}
	var got []string
	for _, f := range r.Files {
		got = append(got, string(f.Role)+" "+filepath.ToSlash(f.Path))
		if _, ok := r.Sources.Text(f.Path); !ok {
			t.Errorf("no text of %s", f.Path)
		}
	}
	wantFiles := []string{"recipe mine/r.yaml", "extends lib/base.yaml", "include lib/teach/ask.yaml", "include lib/teach/common.yaml", "include lib/grade.yaml"}
	if diff := cmp.Diff(wantFiles, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestIncludeConflict: two included recipes may not say different things of one
// name; whoever includes both decides.
func TestIncludeConflict(t *testing.T) {
	lib := map[string]string{
		"a.yaml":     "params: {n: 1, m: 1}\nprofiles: {p: {n: 2}}\nstages: {s: {uses: scan, with: {root: d}}}\n",
		"b.yaml":     "params: {n: 2, m: 1}\nprofiles: {p: {n: 3}}\nstages: {s: {uses: scan, with: {root: e}}}\n",
		"sub/a.yaml": "params: {n: 1, m: 1}\nstages: {s: {uses: scan, with: {root: d}}}\n",
	}
	for name, c := range map[string]struct {
		own  string
		want []string // ids of the conflicts
	}{
		"different":     {"include: [a.yaml, b.yaml]", []string{"param n", "stage s", "profile p: param n"}},
		"same twice":    {"include: [a.yaml, ./a.yaml]\n", nil},
		"overridden":    {"include: [a.yaml, b.yaml]\nparams: {n: 9}\nprofiles: {p: {n: 9}}\nstages: {s: {uses: x}}", nil},
		"dropped":       {"include: [a.yaml, b.yaml]\nparams: {n: 9}\nprofiles: {p: {n: 9}}\nstages: {s: null, t: {uses: x}}", nil},
		"two folders":   {"include: [a.yaml, sub/a.yaml]", []string{"param n", "param m", "stage s"}},
		"extends, too":  {"extends: b.yaml\ninclude: a.yaml", nil},
		"two are bases": {"extends: [a.yaml, b.yaml]", nil},
	} {
		r, diags := Parse("r.yaml", []byte(c.own), Options{ReadFile: files(lib)})
		var got []string
		for _, d := range diags {
			if d.Code == "conflict" && len(d.Related) == 2 && d.Related[0].Span.Start.File == "a.yaml" {
				id, _, _ := strings.Cut(d.Summary, " comes from")
				got = append(got, id)
			} else if !strings.Contains(c.own, "stages") && d.Code == "missing-key" {
				continue
			} else {
				t.Errorf("%s: %v", name, d)
			}
		}
		slices.Sort(c.want)
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: conflicts (-want +got):\n%s", name, diff)
		}
		if name == "overridden" && (r.Stage("s").Uses != "x" || r.Param("n").Value.Int != 9) {
			t.Errorf("%s: %+v", name, r.Stage("s"))
		}
	}
}

// TestManyFiles: chains, ladders and fans of recipes end, with an error where
// they are too long, and read each file once.
func TestManyFiles(t *testing.T) {
	ladder := map[string]string{"end.yaml": "stages: {s: {uses: x}}"}
	for i := range 25 { // followed without a memory, 2^25 files
		next := fmt.Sprintf("l%d.yaml", i+1)
		if i == 24 {
			next = "end.yaml"
		}
		ladder[fmt.Sprintf("l%d.yaml", i)] = fmt.Sprintf("include: [%s, ./%s]\nextends: [%s, %s]", next, next, next, next)
	}
	reads := 0
	read := func(path string) ([]byte, error) { reads++; return files(ladder)(path) }
	r := mustParse(t, "r.yaml", "include: l0.yaml", Options{ReadFile: read})
	if reads != 26 || len(r.Files) != 27 || len(r.Stages) != 1 {
		t.Errorf("%d reads, %d files, %d stages", reads, len(r.Files), len(r.Stages))
	}
	endless := func(path string) ([]byte, error) {
		return []byte("include: x" + strings.TrimSuffix(path, ".yaml") + ".yaml"), nil
	}
	expectLimit(t, "chain", "include: y.yaml", Options{ReadFile: endless})
	var fan strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&fan, "- f%d.yaml\n", i)
	}
	one := func(string) ([]byte, error) { return []byte("stages: {s: {uses: x}}"), nil }
	expectLimit(t, "fan", "include:\n"+fan.String(), Options{ReadFile: one})
	large := func(string) ([]byte, error) { return []byte("# " + strings.Repeat("x", 600)), nil }
	expectLimit(t, "bytes", "include: [a.yaml, b.yaml]\nstages: {s: {uses: x}}", Options{ReadFile: large, MaxBytes: 1000})
}

func expectLimit(t *testing.T, name, src string, opts Options) {
	t.Helper()
	_, diags := Parse("r.yaml", []byte(src), opts)
	for _, d := range diags {
		if d.Code == "limit" {
			return
		}
	}
	t.Errorf("%s: no limit reported, but %v", name, diags)
}

// TestFilesOnDisk: names with spaces and other scripts are fine; links that lead
// out of the tree, pipes and folders are not.
func TestFilesOnDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	write("elsewhere/part.yaml", "stages: {s: {uses: x}}")
	write("my exp/größe 数据/part one.yaml", "stages: {s: {uses: x, with: {p: '${{ params.p }}'}}}\nparams: {p: {type: path, default: ä b.txt}}")
	write("my exp/inner/part.yaml", "stages: {s: {uses: x}}")
	link("../elsewhere/part.yaml", "my exp/out.yaml")
	link("inner/part.yaml", "my exp/in.yaml")
	link("../elsewhere", "my exp/folder")
	link("loop.yaml", "my exp/loop.yaml")
	if err := os.MkdirAll(filepath.Join(dir, "my exp/dir.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "my exp/pipe.yaml"), 0o644); err != nil {
		t.Skip("no pipes here:", err)
	}
	for _, c := range []struct{ ref, code, text string }{
		{"größe 数据/part one.yaml", "", ""},
		{"in.yaml", "", ""},
		{"../elsewhere/part.yaml", "", ""},         // says itself that it leaves the folder
		{"../my exp/folder/part.yaml", "", ""},     // and so does this
		{dir + "/my exp/folder/part.yaml", "", ""}, // an absolute path has no tree
		{"out.yaml", "read", "leads out of"},
		{"folder/part.yaml", "read", "leads out of"},
		{"loop.yaml", "read", ""},
		{"dir.yaml", "read", "is not a regular file"},
		{"pipe.yaml", "read", "is not a regular file"},
	} {
		for _, key := range []string{"include", "extends"} {
			write("my exp/r.yaml", key+": '"+c.ref+"'\n")
			r, diags := Load(filepath.Join(dir, "my exp/r.yaml"), Options{})
			if c.code == "" {
				if len(diags) > 0 || len(r.Stages) != 1 {
					t.Errorf("%s: %v", c.ref, diags)
				}
				continue
			}
			if len(diags) != 1 || diags[0].Code != c.code || !strings.Contains(diags[0].Summary, c.text) || diags[0].Pos().Line != 1 {
				t.Errorf("%s %s: %v", key, c.ref, diags)
			}
		}
	}
	write("my exp/r.yaml", "include: größe 数据/part one.yaml\n")
	r, _ := Load(filepath.Join(dir, "my exp/r.yaml"), Options{})
	if got, want := r.Stage("s").With.Lookup("p").Path(), filepath.Join(dir, "my exp", "größe 数据", "ä b.txt"); got != want {
		t.Errorf("path %q, not %q", got, want)
	}
}
