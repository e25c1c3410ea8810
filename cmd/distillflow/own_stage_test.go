package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The stage of docs/own-stage.md is compiled from the page's text and does what the page
// says. No file of the repository changes: the compiler is given a copy of the list of
// stages.
func TestOwnStagePage(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program once more")
	}
	p := readPage(t, "own-stage.md")
	dir := t.TempDir()
	family := filepath.Join("..", "..", "stages", "data", "family.go")
	list, err := os.ReadFile(family)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(list), "{Scan, ")
	if !ok {
		t.Fatalf("no list of stages in\n%s", list)
	}
	replace := map[string]string{}
	for target, text := range map[string]string{
		family: before + "{Shorten, Scan, " + after,
		filepath.Join("..", "..", "stages", "data", "shorten.go"): p.block(t, "go"),
	} {
		if target, err = filepath.Abs(target); err != nil {
			t.Fatal(err)
		}
		replace[target] = filepath.Join(dir, filepath.Base(target))
		if err := os.WriteFile(replace[target], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	build := exec.Command("go", "build", "-buildvcs=false", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin+string(filepath.Separator), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Chdir(t.TempDir())
	p.run(t)
}
