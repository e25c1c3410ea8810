package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
)

// node builds YAML in a chosen order.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func put(m *yaml.Node, key string, value *yaml.Node) { m.Content = append(m.Content, text(key), value) }

// recipeYAML is a recipe of stages as the run read them.
func recipeYAML(r *runrecord.Run, stages []*runrecord.Stage) (string, error) {
	top := mapping()
	if r.Resolved.Name != "" {
		put(top, "name", text(oneLine(r.Resolved.Name)))
	}
	put(top, "seed", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatUint(r.Given.Seed, 10)})
	list := mapping()
	put(top, "stages", list)
	folder := filepath.Dir(r.RecipeID)
	for _, s := range stages {
		n := mapping()
		put(list, s.Name, n)
		put(n, "uses", text(s.Type))
		if len(s.Inputs) > 0 {
			put(n, "from", from(s))
		}
		if len(s.With) == 0 {
			continue
		}
		var with any
		d := json.NewDecoder(bytes.NewReader(s.With))
		d.UseNumber()
		if err := d.Decode(&with); err != nil {
			return "", fmt.Errorf("stage %s: its settings: %w", s.Name, err)
		}
		v := &yaml.Node{}
		if err := v.Encode(elsewhere(folder, with)); err != nil {
			return "", fmt.Errorf("stage %s: its settings: %w", s.Name, err)
		}
		put(n, "with", v)
	}
	var b bytes.Buffer
	y := yaml.NewEncoder(&b)
	y.SetIndent(2)
	if err := y.Encode(top); err != nil {
		return "", fmt.Errorf("the recipe: %w", err)
	}
	return b.String(), nil
}

// from names the inputs of a stage: by port, and one port's several as a list.
func from(s *runrecord.Stage) *yaml.Node {
	ports := mapping()
	for _, in := range s.Inputs {
		source := text(in.Stage.Name + "." + in.Output)
		i := 0
		for i < len(ports.Content) && ports.Content[i].Value != in.Port {
			i += 2
		}
		switch {
		case i == len(ports.Content):
			put(ports, in.Port, source)
		case ports.Content[i+1].Kind == yaml.SequenceNode:
			ports.Content[i+1].Content = append(ports.Content[i+1].Content, source)
		default:
			first := ports.Content[i+1]
			ports.Content[i+1] = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{first, source}}
		}
	}
	return ports
}

// elsewhere takes absolute paths out of settings: below the recipe's folder they are
// relative, and of others the last part is left.
func elsewhere(folder string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			v[name] = elsewhere(folder, x)
		}
	case []any:
		for i, x := range v {
			v[i] = elsewhere(folder, x)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case string:
		if !filepath.IsAbs(v) {
			return v
		}
		if rel, err := filepath.Rel(folder, v); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
		return "/.../" + filepath.Base(v)
	}
	return v
}
