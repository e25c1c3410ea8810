package trust

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/internal/base/text"
)

// leaks tells what of the user's files a stage may tell a server: what it reads, and what the
// stages before it read, outside of the project.
type leaks struct {
	p  Policy
	r  *recipe.Recipe
	of map[*graph.Node][]string
}

func (l leaks) from(ctx context.Context, n *graph.Node) []string {
	if list, known := l.of[n]; known {
		return list
	}
	var list []string
	if !n.Skip {
		for _, path := range reads(ctx, n, "api_key_file", "price_file") { // which no prompt holds
			if !strings.Contains(path, "://") && !l.p.ownRead(l.r, path) {
				list = append(list, realPath(path))
			}
		}
	}
	for _, d := range n.Deps() {
		list = append(list, l.from(ctx, d)...)
	}
	slices.Sort(list)
	l.of[n] = slices.Compact(list)
	return l.of[n]
}

// variables are those of the user's environment that expressions of a recipe see: they may
// stand in any prompt, and in the address of a server.
func (p Policy) variables(r *recipe.Recipe) []string {
	var list []string
	for _, name := range r.Env {
		if p.Getenv(name) != "" {
			list = append(list, "$"+name)
		}
	}
	return list
}

// strangersKey reports whether a key is in a file that came with the recipe: whoever gave it
// out may show its requests to whoever wrote the recipe.
func (p Policy) strangersKey(r *recipe.Recipe, key string) bool {
	return strings.ContainsRune(key, filepath.Separator) && p.ownRead(r, key)
}

// some shows the first of many paths.
func some(list []string) string {
	const most = 3
	s := text.OneLine(strings.Join(list[:min(most, len(list))], ", "))
	if len(list) > most {
		s += fmt.Sprintf(", and %d more", len(list)-most)
	}
	return s
}
