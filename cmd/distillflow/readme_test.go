package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The README names every stage type and only commands that exist, and its recipe runs.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range reg.Names() {
		if !regexp.MustCompile(`(^|[^\w-])` + name + `($|[^\w-])`).MatchString(readme) {
			t.Errorf("the README does not name the stage %s", name)
		}
	}
	commands := regexp.MustCompile(`(?m)^ +(?:\w+=\S+ )?(?:distillflow|go run ./cmd/distillflow) (\w+)`).FindAllStringSubmatch(readme, -1)
	if len(commands) < 15 {
		t.Errorf("found %d commands in the README", len(commands))
	}
	for _, c := range commands {
		if found, _, err := (app{}).root().Find(c[1:]); err != nil || found.Name() != c[1] {
			t.Errorf("the README calls distillflow %s, which does not exist", c[1])
		}
	}
	_, recipe, _ := strings.Cut(readme, "```yaml\n")
	recipe, _, _ = strings.Cut(recipe, "```")
	dir := t.TempDir()
	for name, text := range map[string]string{"mine.yaml": recipe, "problems.jsonl": firstProblems} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"DISTILLFLOW_MEMO": filepath.Join(dir, "memo")}
	if status, out := runApp(t, env, "run", filepath.Join(dir, "mine.yaml")); status != exitOK {
		t.Errorf("status %d\n%s", status, out)
	}
}
