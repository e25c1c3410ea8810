package recipe

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
)

// Limits on what a recipe is made of. The bytes of all its files together are
// limited by Options.MaxBytes.
const (
	maxExtends = 32    // length of a chain of recipes
	maxFiles   = 1_000 // files of one recipe
)

// composer reads the other recipes that a recipe names. Each file is read once,
// however many name it.
type composer struct {
	d    *decoder
	done map[string]*Value // by clean path: the merged tree, nil for one that failed
	size int               // bytes read so far
}

// link is one file of a chain of recipes and the key that led to it.
type link struct {
	path string
	key  string // "extends" or "include"; "" for the first
}

// compose follows `extends:` and `include:` of root, which was read from the
// last file of the chain, and gives the merged tree: what it extends, what it
// includes on that, and its own entries on both. Every value keeps the position
// and base folder of the file that wrote it, so that diagnostics and relative
// paths need no special case.
func (c *composer) compose(root *Value, chain []link) *Value {
	var base, mixin *Value
	for _, t := range c.named(root, "extends", chain) {
		base = merge(base, t.tree, mergeTop)
	}
	if included := c.named(root, "include", chain); len(included) > 0 {
		seen := claims{own: root, by: map[string]claim{}, d: c.d}
		for _, t := range included {
			part := c.fragment(t)
			seen.add(part, t.ref)
			mixin = merge(mixin, part, mergeTop)
		}
		base = merge(base, mixin, mergeTop)
	}
	return merge(base, root, mergeTop)
}

// named is a recipe that another one names.
type named struct {
	ref  *Value // where it is named
	tree *Value
}

// named reads all recipes that root names under key.
func (c *composer) named(root *Value, key string, chain []link) []named {
	v := root.Lookup(key)
	if v.IsNull() {
		return nil
	}
	refs := []*Value{v}
	if v.Kind == List {
		refs = v.Items
	}
	var out []named
	for _, ref := range refs {
		var tree *Value
		if c.d.want(ref, String, "`"+key+"` names a recipe, relative to this one") {
			tree = c.file(ref, key, chain)
		}
		if tree == nil {
			c.d.baseFailed = true
			continue
		}
		out = append(out, named{ref, tree})
	}
	return out
}

// file reads one recipe named by ref, with what it names in turn; nil after a
// report.
func (c *composer) file(ref *Value, key string, chain []link) *Value {
	d := c.d
	from := chain[len(chain)-1].path
	problem := func(code, format string, args ...any) *Value {
		d.diags.Add(diag.Errorf(ref.Pos, code, format, args...).Over(ref.width()))
		return nil
	}
	if ref.Str == "" {
		return problem("wrong-type", "`%s` is empty", key)
	}
	path := resolvePath(filepath.Dir(from), ref.Str)
	clean := filepath.Clean(path)
	chain = append(slices.Clip(chain), link{clean, key})
	if i := slices.IndexFunc(chain, func(l link) bool { return l.path == clean }); i < len(chain)-1 {
		return problem("cycle", "%s", cycleText(chain[i:]))
	}
	if tree, seen := c.done[clean]; seen {
		return tree
	}
	if len(chain) > maxExtends {
		return problem("limit", "more than %d recipes extend or include one another", maxExtends)
	}
	if len(c.done) >= maxFiles {
		return problem("limit", "the recipe is made of more than %d files", maxFiles)
	}
	c.done[clean] = nil
	if d.opts.checkFile != nil {
		if msg, help := d.opts.checkFile(filepath.Dir(from), ref.Str, path); msg != "" {
			dg := diag.Errorf(ref.Pos, "read", "%s", msg).Over(ref.width())
			d.diags.Add(dg.WithHelp("%s", help))
			return nil
		}
	}
	src, err := d.opts.ReadFile(path)
	if err != nil {
		dg := readError(ref.Pos, path, err).Over(ref.width())
		d.diags.Add(dg.WithHelp("`%s` is relative to the folder of %s", key, from))
		return nil
	}
	if c.size += len(src); c.size > d.opts.MaxBytes {
		return problem("limit", "with %s, the files of the recipe have more than the limit of %d bytes", path, d.opts.MaxBytes)
	}
	d.recipe.Files = append(d.recipe.Files, File{Path: path, Role: Role(key)})
	errorsBefore, _ := d.diags.Counts()
	y := &yamlReader{file: path, baseDir: filepath.Dir(path), sources: d.sources, diags: d.diags}
	root := y.read(src, d.opts.MaxBytes)
	if root == nil {
		if errs, _ := d.diags.Counts(); errs == errorsBefore {
			return problem("missing-key", "the recipe %s is empty", path)
		}
		return nil
	}
	if !d.want(root, Map, "a recipe is a map") {
		return nil
	}
	tree := c.compose(root, chain)
	c.done[clean] = tree
	return tree
}

// cycleText words a chain whose last file is its first.
func cycleText(chain []link) string {
	var paths, keys []string
	for i, l := range chain {
		paths = append(paths, l.path)
		if verb := strings.TrimSuffix(l.key, "s"); i > 0 && !slices.Contains(keys, verb) {
			keys = append(keys, verb)
		}
	}
	slices.Sort(keys)
	return "the recipes " + strings.Join(keys, " and ") + " each other: " + strings.Join(paths, " -> ")
}

// fragment is what an included recipe gives to the one that includes it: its
// params, profiles, tasks, stages and env. Its name, description,
// seed and max_nodes are its own.
func (c *composer) fragment(t named) *Value {
	out := *t.tree
	out.Entries = nil
	for _, e := range t.tree.Entries {
		switch e.Key {
		case "name", "description", "seed", "max_nodes", "extends", "include":
		case "matrix":
			if !e.Val.IsNull() {
				dg := diag.Errorf(e.KeyPos, "bad-matrix", "an included recipe cannot have a `matrix:` of its own").Over(len("matrix"))
				c.d.diags.Add(dg.WithRelated(t.ref.Pos.Span(t.ref.width()), "it is included here").
					WithHelp("move the matrix to its stages, or use `extends:`"))
			}
		default:
			if !strings.HasPrefix(e.Key, "x-") {
				out.Entries = append(out.Entries, e)
			}
		}
	}
	return &out
}

// claims remembers which included recipe gave which entry. Included recipes
// stand beside one another, so that two different entries of one name are a
// mistake, unless the recipe that includes them has an entry of that name too.
type claims struct {
	own *Value
	by  map[string]claim
	d   *decoder
}

type claim struct {
	Entry
	ref *Value
}

func (c claims) add(part, ref *Value) {
	for _, section := range []string{"params", "tasks", "stages"} {
		c.section(section[:len(section)-1], part.Lookup(section), c.own.Lookup(section), ref)
	}
	for _, prof := range entriesOf(part.Lookup("profiles")) {
		c.section("profile "+prof.Key+": param", prof.Val, c.own.Lookup("profiles").Lookup(prof.Key), ref)
	}
}

func (c claims) section(what string, part, own, ref *Value) {
	for _, e := range entriesOf(part) {
		id := what + " " + e.Key
		first, seen := c.by[id]
		if !seen {
			c.by[id] = claim{e, ref}
			continue
		}
		if first.ref == ref || own.Entry(e.Key) != nil || sameEntry(first.Entry, e) {
			continue
		}
		c.d.diags.Add(diag.Errorf(e.KeyPos, "conflict", "%s comes from two included recipes, which differ", id).Over(utf8.RuneCountInString(e.Key)).
			WithRelated(first.KeyPos.Span(utf8.RuneCountInString(e.Key)), "the other one is here").
			WithRelated(ref.Pos.Span(ref.width()), "this one is included here").
			WithHelp("rename one, or write the entry in the recipe that includes both: it overrides them"))
	}
}

func entriesOf(v *Value) []Entry {
	if v == nil || v.Kind != Map {
		return nil
	}
	return v.Entries
}

// sameEntry: one entry that came by two ways, or the same text in two files of
// one folder. The same relative path in two folders means two files.
func sameEntry(a, b Entry) bool {
	if a.Val == b.Val {
		return true
	}
	return a.Val.BaseDir == b.Val.BaseDir && a.Val.Equal(b.Val)
}
