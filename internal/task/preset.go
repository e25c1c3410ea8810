package task

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

//go:embed presets/*.yaml
var files embed.FS

// order is that of the documentation; presets it does not name come last.
var order = []string{"gsm8k", "math", "arc_challenge", "commonsense_qa", "date", "anli", "strategy_qa", "table_mwp"}

// presets reads the presets once. They are part of the program, so that a broken one
// is a mistake of its author, which the tests find.
var presets = sync.OnceValue(func() map[string]Task {
	all, err := read(files)
	if err != nil {
		panic(err)
	}
	return all
})

// read reads the tasks of presets/*.yaml, each by its file's name.
func read(from fs.FS) (map[string]Task, error) {
	names, err := fs.Glob(from, "presets/*.yaml")
	if err != nil {
		return nil, err
	}
	all := map[string]Task{}
	for _, file := range names {
		text, err := fs.ReadFile(from, file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(path.Base(file), ".yaml")
		if all[name], err = parse(text); err != nil {
			return nil, fmt.Errorf("preset %s: %w", name, err)
		}
	}
	return all, nil
}

func parse(text []byte) (Task, error) {
	var t Task
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return t, err
	}
	return t, decode(doc, &t)
}

// Presets lists the names of the presets.
func Presets() []string {
	names := slices.Clone(order)
	var more []string
	for name := range presets() {
		if !slices.Contains(order, name) {
			more = append(more, name)
		}
	}
	slices.Sort(more)
	return append(names, more...)
}

// Preset gives the task of a name.
func Preset(name string) (Task, bool) {
	t, ok := presets()[name]
	return t, ok
}
