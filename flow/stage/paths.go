package stage

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
)

// MapPaths rewrites every [Path] field of a config tree, as [Type.Decode] takes
// it, by f. It changes the tree in place. The engine resolves relative paths so.
func (t *Type) MapPaths(tree any, f func(field []string, path string) string) {
	if t.moved != nil {
		resolve := f
		f = func(field []string, path string) string { return t.moved(resolve(field, path)) }
	}
	mapPaths(tree, t.Config, nil, f, nil)
}

// LocalPaths gives the files and folders of this machine that the config names.
func (c *Config) LocalPaths() []string {
	b, err := c.JSON()
	var tree any
	if err != nil || json.Unmarshal(b, &tree) != nil {
		return nil // who runs the stage says what is wrong
	}
	var paths []string
	mapPaths(tree, c.typ.Config, nil, func(_ []string, p string) string {
		if filepath.IsAbs(p) {
			paths = append(paths, p)
		}
		return p
	}, nil)
	return paths
}

func mapPaths(tree any, s *Schema, at []string, f func([]string, string) string, set func(string)) {
	switch s.Kind {
	case KindPath:
		if p, ok := tree.(string); ok && p != "" && set != nil {
			set(f(at, p))
		}
	case KindStruct:
		m, _ := tree.(map[string]any)
		for _, fd := range s.Fields {
			if v, ok := m[fd.Name]; ok {
				mapPaths(v, fd.Schema, append(slices.Clone(at), fd.Name), f, func(p string) { m[fd.Name] = p })
			}
		}
	case KindList:
		l, _ := tree.([]any)
		for i, v := range l {
			mapPaths(v, s.Elem, append(slices.Clone(at), strconv.Itoa(i)), f, func(p string) { l[i] = p })
		}
	case KindMap:
		m, _ := tree.(map[string]any)
		for k, v := range m {
			mapPaths(v, s.Elem, append(slices.Clone(at), k), f, func(p string) { m[k] = p })
		}
	}
}
