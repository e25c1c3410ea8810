// Package withflags reads the --with flags of `distillflow stage`.
package withflags

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Tree makes a stage's settings of flags of the form key=value. Values are YAML; a dotted
// key reaches into a map.
func Tree(with []string) (map[string]any, error) {
	tree := map[string]any{}
	for _, kv := range with {
		key, text, ok := strings.Cut(kv, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--with %q: want key=value", kv)
		}
		v, err := value(text)
		if err != nil {
			return nil, fmt.Errorf("--with %s: %w", key, err)
		}
		m := tree
		parts := strings.Split(key, ".")
		for _, p := range parts[:len(parts)-1] {
			next, ok := m[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				m[p] = next
			}
			m = next
		}
		m[parts[len(parts)-1]] = v
	}
	return tree, nil
}

// value reads YAML as recipes do: dates stay strings and keys are strings.
func value(text string) (any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return tree(doc.Content[0])
}

func tree(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := tree(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		l := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if l[i], err = tree(c); err != nil {
				return nil, err
			}
		}
		return l, nil
	case yaml.AliasNode:
		return nil, errors.New("an alias has no place here")
	}
	switch n.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		var v any
		err := n.Decode(&v)
		return v, err
	}
	return n.Value, nil
}
