package lock

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
)

// locator tells a name that leads to a place from one of a provider's model: only
// the first can be read under another name.
const locator = "://"

// Pins gives for every name that others can change, such as hf://owner/model, the
// exact one that it stood for. A name that stood for two things is left out, as are
// names that lead to no place, such as those of a provider's models.
func Pins(revisions []stage.Revision) map[string]string {
	pins := map[string]string{}
	torn := map[string]bool{}
	for _, v := range revisions {
		if !strings.Contains(v.Name, locator) || !strings.Contains(v.Resolved, locator) {
			continue
		}
		if other, seen := pins[v.Name]; seen && other != v.Resolved {
			torn[v.Name] = true
		}
		pins[v.Name] = v.Resolved
	}
	for name := range torn {
		delete(pins, name)
	}
	return pins
}

// Pins are those of the lock's stages.
func (r *Recipe) Pins() map[string]string {
	var all []stage.Revision
	for _, s := range r.Stages {
		all = append(all, s.Revisions...)
	}
	return Pins(all)
}

// Pinned gives the stage types with exact names in place of those that others can
// change. A recipe that is bound to them reads what the names stood for, whatever
// they mean today.
func Pinned(reg *stage.Registry, pins map[string]string) (*stage.Registry, error) {
	if len(pins) == 0 {
		return reg, nil
	}
	exact := func(path string) string {
		if p, ok := pins[path]; ok {
			return p
		}
		return path
	}
	var types []*stage.Type
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		types = append(types, t.Elsewhere(exact, ""))
	}
	return stage.NewRegistry(types...)
}

// namesExactly reports whether a node's config names a path outright.
func namesExactly(n *graph.Node, path string) (bool, error) {
	b, err := n.Config.JSON()
	if err != nil {
		return false, err
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return false, fmt.Errorf("stage %s: %w", n.Name, err)
	}
	found := false
	n.Type.MapPaths(tree, func(_ []string, p string) string {
		found = found || p == path
		return p
	})
	return found, nil
}
