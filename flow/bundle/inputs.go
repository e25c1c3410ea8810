package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
)

// upDir is the name of the folders that stand for those above the recipe.
const upDir = "_up"

// layout says where files of this machine lie in the bundle.
type layout struct {
	base  string // folder that holds all files of the recipe, absolute
	above int    // how many folders above it the inputs reach
}

// place is the name in the bundle of an absolute path.
func (l layout) place(abs string) (string, error) {
	rel, err := filepath.Rel(l.base, abs)
	if err != nil {
		return "", fmt.Errorf("placing %s: %w", abs, err)
	}
	return path.Join(recipeDir, strings.Repeat(upDir+"/", l.above), filepath.ToSlash(rel)), nil
}

// ups counts the leading .. of the way from base to abs.
func (l layout) ups(abs string) int {
	rel, err := filepath.Rel(l.base, abs)
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range strings.Split(filepath.ToSlash(rel), "/") {
		if e != ".." {
			break
		}
		n++
	}
	return n
}

// recipeFiles lists the absolute paths of the files that a recipe was read from,
// and the folder that holds them all. Params files are left out: what they give
// stands in the run's record.
func recipeFiles(r *recipe.Recipe) (files []string, base string, err error) {
	for _, f := range r.Files {
		if f.Role == recipe.ParamsFile {
			continue
		}
		abs, err := filepath.Abs(f.Path)
		if err != nil {
			return nil, "", fmt.Errorf("finding the recipe: %w", err)
		}
		files = append(files, abs)
		if base == "" {
			base = filepath.Dir(abs)
		} else {
			base = ancestor(base, filepath.Dir(abs))
		}
	}
	return files, base, nil
}

// ancestor is the deepest folder that holds two others.
func ancestor(a, b string) string {
	for !inside(a, b) {
		up := filepath.Dir(a)
		if up == a {
			return a
		}
		a = up
	}
	return a
}

// inside reports whether p is dir or lies below it.
func inside(dir, p string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && filepath.IsLocal(rel)
}

// outsideFiles finds, for every folder that a path in the recipe leads to, the
// files below it that a stage reads. No folder of the result lies in another.
func outsideFiles(ctx context.Context, nodes []*graph.Node) (map[string][]string, error) {
	var roots []string
	files := map[string]bool{}
	for _, n := range nodes {
		ext, err := n.Config.Externals(ctx)
		if err != nil {
			return nil, fmt.Errorf("stage %s: %w", n.Name, err)
		}
		if len(ext) == 0 {
			continue
		}
		dirs, err := pathDirs(n)
		if err != nil {
			return nil, err
		}
		for _, e := range ext {
			if e.Remote.Cache != "" {
				continue // packed by another name
			}
			abs, err := filepath.Abs(e.Path)
			if err != nil {
				return nil, fmt.Errorf("stage %s: %w", n.Name, err)
			}
			files[abs] = true
			root := filepath.Dir(abs)
			if i := slices.IndexFunc(dirs, func(d string) bool { return inside(d, abs) }); i >= 0 {
				root = dirs[i]
			} else if len(dirs) > 0 {
				// Beside what the config names, and found from there.
				root = ancestor(dirs[0], root)
			}
			roots = append(roots, root)
		}
	}
	slices.Sort(roots)
	out := map[string][]string{}
	for _, r := range slices.Compact(roots) {
		if !slices.ContainsFunc(roots, func(o string) bool { return o != r && inside(o, r) }) {
			out[r] = nil
		}
	}
	for f := range files {
		for r := range out {
			if inside(r, f) {
				out[r] = append(out[r], f)
			}
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out, nil
}

// pathDirs lists the folders that the paths of a node's config name or lie in.
func pathDirs(n *graph.Node) ([]string, error) {
	b, err := n.Config.JSON()
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return nil, fmt.Errorf("stage %s: %w", n.Name, err)
	}
	var dirs []string
	n.Type.MapPaths(tree, func(_ []string, p string) string {
		if abs, err := filepath.Abs(p); err == nil && !strings.Contains(p, "://") {
			dirs = append(dirs, folderOf(abs))
		}
		return p
	})
	return dirs, nil
}

// folderOf is p if it is a folder, and else the folder before what is a file name
// or a pattern.
func folderOf(p string) string {
	for {
		if info, err := os.Stat(p); err == nil && info.IsDir() || filepath.Dir(p) == p {
			return p
		}
		p = filepath.Dir(p)
	}
}

// inputs lists the files outside the store and makes items of them unless they
// are to be left out.
func (c *creator) inputs(ctx context.Context) error {
	found, err := outsideFiles(ctx, c.nodes)
	if err != nil {
		return err
	}
	roots := make([]string, 0, len(found))
	for r := range found {
		roots = append(roots, r)
		c.layout.above = max(c.layout.above, c.layout.ups(r))
	}
	slices.Sort(roots)
	for _, root := range roots {
		dir, err := c.layout.place(root)
		if err != nil {
			return err
		}
		in := Input{Dir: dir, Packed: c.opts.Inputs, Files: []File{}}
		if c.named(root) {
			in.Absolute = root
		}
		for _, f := range found[root] {
			d, n, err := c.src.Store.HashFile(ctx, f)
			if err != nil {
				return fmt.Errorf("reading an input: %w", err)
			}
			rel, err := filepath.Rel(root, f)
			if err != nil {
				return fmt.Errorf("reading an input: %w", err)
			}
			in.Files = append(in.Files, File{filepath.ToSlash(rel), n, d})
			if in.Packed {
				c.add(copied(Entry{path.Join(dir, filepath.ToSlash(rel)), n, d}, func() (io.ReadCloser, error) { return os.Open(f) }))
			}
		}
		c.m.Inputs = append(c.m.Inputs, in)
	}
	return nil
}

// named reports whether the recipe's own text names a path by where it lies on
// this machine.
func (c *creator) named(abs string) bool {
	for _, text := range c.texts {
		if strings.Contains(text, abs) {
			return true
		}
	}
	return false
}
