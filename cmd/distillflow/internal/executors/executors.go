// Package executors reads the user's file of executors: other machines that run stages,
// and their settings, by name. The file is the user's and not the recipe's: it may start
// any command on a cluster, and nothing in it is part of a key.
package executors

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/internal/base/paths"
)

// Kind makes an executor of one type. Settings decodes what the user wrote, strictly, into
// a struct with yaml tags; where the user wrote nothing it changes nothing.
type Kind func(settings func(into any) error) (exec.Runner, error)

// FileVar names the environment variable that names the file.
const FileVar = "DISTILLFLOW_EXECUTORS"

// Path is the user's file: the named one, or $DISTILLFLOW_EXECUTORS, or executors.yaml in
// [paths.Settings]. must reports whether it has to be there. The path is "" where there is no
// such folder.
func Path(file string, getenv func(string) string) (path string, must bool) {
	if file = cmp.Or(file, getenv(FileVar)); file != "" {
		return file, true
	}
	const name = "executors.yaml"
	if dir := paths.Settings(getenv); dir != "" {
		path = filepath.Join(dir, name)
	}
	if _, err := os.Stat(path); err == nil {
		return path, false
	}
	// Where earlier versions had it: on macOS in ~/Library/Application Support.
	if dir, err := os.UserConfigDir(); err == nil {
		old := filepath.Join(dir, "distillflow", name)
		if _, err := os.Stat(old); err == nil {
			return old, false
		}
	}
	return path, false
}

// File is such a file. Each kind is an executor too, with its default settings, unless
// the file has one of its name.
type File struct {
	path  string
	nodes map[string]*yaml.Node
	kinds map[string]Kind
}

// Read reads a file. An empty path is a file without executors.
func Read(path string, must bool, kinds map[string]Kind) (*File, error) {
	f := &File{path: path, kinds: kinds}
	if path == "" {
		return f, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the executors: %w", err)
	}
	var nodes map[string]yaml.Node
	if err := yaml.Load(b, &nodes); err != nil {
		return nil, fmt.Errorf("%s: it maps names of executors to their settings: %w", path, err)
	}
	f.nodes = make(map[string]*yaml.Node, len(nodes))
	for name, n := range nodes {
		if name == exec.Here {
			return nil, fmt.Errorf("%s:%d: %q is this machine: give the executor another name", path, n.Line, name)
		}
		f.nodes[name] = &n
	}
	return f, nil
}

// Names gives the names of the executors.
func (f *File) Names() []string {
	all := maps.Clone(f.nodes)
	if all == nil {
		all = map[string]*yaml.Node{}
	}
	for k := range f.kinds {
		all[k] = nil
	}
	return slices.Sorted(maps.Keys(all))
}

// Executor makes an executor.
func (f *File) Executor(name string) (exec.Runner, error) {
	n, written := f.nodes[name]
	kind, at := name, fmt.Sprintf("executor %s", name)
	if written {
		at = fmt.Sprintf("%s:%d: executor %s", f.path, n.Line, name)
		var err error
		if n, kind, err = cutType(n, name); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	newRunner, ok := f.kinds[kind]
	switch known := strings.Join(slices.Sorted(maps.Keys(f.kinds)), ", "); {
	case !ok && written:
		return nil, fmt.Errorf("%s: type %q is none of %s", at, kind, known)
	case !ok:
		return nil, fmt.Errorf("there is no executor %q; there are %s; write others into %s", name, strings.Join(append([]string{exec.Here}, f.Names()...), ", "), cmp.Or(f.path, "a file and name it with --executors"))
	}
	r, err := newRunner(func(into any) error {
		if !written {
			return nil
		}
		return n.Load(into, yaml.WithKnownFields())
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return r, nil
}

// cutType gives the settings without their type, which is the name's if they have none.
func cutType(n *yaml.Node, name string) (rest *yaml.Node, kind string, err error) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, name, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, "", errors.New("its settings are a map")
	}
	c := *n
	c.Content = slices.Clone(n.Content)
	for i := 0; i+1 < len(c.Content); i += 2 {
		if c.Content[i].Value == "type" {
			kind = c.Content[i+1].Value
			c.Content = slices.Delete(c.Content, i, i+2)
			return &c, kind, nil
		}
	}
	return &c, name, nil
}
