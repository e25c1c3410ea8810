package recipe

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
)

// maxExtends bounds the length of a chain of recipes.
const maxExtends = 32

// extend follows `extends:` of root, which was read from file, and gives the
// merged tree. Every value keeps the position and base folder of the file that
// wrote it, so that diagnostics and relative paths need no special case.
func (d *decoder) extend(root *Value, file string, chain []string) *Value {
	ext := root.Entry("extends")
	if ext == nil || ext.Val.IsNull() {
		return root
	}
	refs := []*Value{ext.Val}
	if ext.Val.Kind == List {
		refs = ext.Val.Items
	}
	var base *Value
	for _, ref := range refs {
		if !d.want(ref, String, "`extends` names a recipe, relative to this one") {
			d.baseFailed = true
			continue
		}
		b := d.base(ref, file, chain)
		if b == nil {
			d.baseFailed = true
			continue
		}
		base = merge(base, b, mergeTop)
	}
	return merge(base, root, mergeTop)
}

// base reads one recipe named by `extends:`, with what it extends in turn.
func (d *decoder) base(ref *Value, file string, chain []string) *Value {
	path := resolvePath(filepath.Dir(file), ref.Str)
	problem := func(code, format string, args ...any) *Value {
		d.diags.Add(diag.Errorf(ref.Pos, code, format, args...).Over(ref.width()))
		return nil
	}
	if ref.Str == "" {
		return problem("wrong-type", "`extends` is empty")
	}
	chain = append(slices.Clip(chain), filepath.Clean(file))
	if i := slices.Index(chain, filepath.Clean(path)); i >= 0 {
		return problem("cycle", "the recipes extend each other: %s", strings.Join(append(chain[i:], filepath.Clean(path)), " -> "))
	}
	if len(chain) >= maxExtends {
		return problem("limit", "more than %d recipes extend one another", maxExtends)
	}
	src, err := d.opts.ReadFile(path)
	if err != nil {
		dg := readError(ref.Pos, path, err).Over(ref.width())
		d.diags.Add(dg.WithHelp("`extends` is relative to the folder of %s", file))
		return nil
	}
	y := &yamlReader{file: path, baseDir: filepath.Dir(path), sources: d.sources, diags: d.diags}
	root := y.read(src, d.opts.MaxBytes)
	if root == nil {
		if len(strings.TrimSpace(string(src))) == 0 || !d.diags.HasErrors() {
			return problem("missing-key", "the recipe %s is empty", path)
		}
		return nil
	}
	if !d.want(root, Map, "a recipe is a map") {
		return nil
	}
	return d.extend(root, path, chain)
}

// mergeRule says how the entry under a key is merged: it gets the base's and
// the new value, both not nil, and gives the result, or nil to drop the entry.
type mergeRule func(key string, base, over *Value) *Value

// merge lays the entries of over on those of base. Entries keep the base's
// order; new ones follow. Nothing is changed in place.
func merge(base, over *Value, rule mergeRule) *Value {
	if base == nil || base.Kind != Map || over.Kind != Map {
		return over
	}
	out := *over
	out.Entries = make([]Entry, 0, len(base.Entries)+len(over.Entries))
	index := make(map[string]int, len(over.Entries)) // in over
	for i, e := range over.Entries {
		index[e.Key] = i
	}
	used := make(map[string]bool, len(over.Entries))
	for _, e := range base.Entries {
		if i, ok := index[e.Key]; ok {
			used[e.Key] = true
			if e.Val = rule(e.Key, e.Val, over.Entries[i].Val); e.Val == nil {
				continue
			}
		}
		out.Entries = append(out.Entries, e)
	}
	for _, e := range over.Entries {
		if !used[e.Key] {
			out.Entries = append(out.Entries, e)
		}
	}
	return &out
}

// mergeTop merges whole recipes: params, profiles and stages by name, env as a
// union; anything else is replaced.
func mergeTop(key string, base, over *Value) *Value {
	switch key {
	case "params":
		return merge(base, over, mergeParam)
	case "profiles":
		return merge(base, over, func(_ string, b, o *Value) *Value { return merge(b, o, replace) })
	case "stages":
		return merge(base, over, mergeStage)
	case "env":
		if base.Kind == List && over.Kind == List {
			both := *over
			both.Items = slices.Concat(base.Items, over.Items)
			return &both
		}
	}
	return over
}

func replace(_ string, _, over *Value) *Value { return over }

// mergeParam: the short form sets a new default on the base's declaration.
func mergeParam(_ string, base, over *Value) *Value {
	switch {
	case over.Kind == Map && base.Kind == Map:
		return merge(base, over, replace)
	case over.Kind == Map:
		long := &Value{Kind: Map, Pos: base.Pos, BaseDir: base.BaseDir, Entries: []Entry{{Key: "default", KeyPos: base.Pos, Val: base}}}
		return merge(long, over, replace)
	case base.Kind == Map:
		def := &Value{Kind: Map, Pos: over.Pos, BaseDir: over.BaseDir, Entries: []Entry{{Key: "default", KeyPos: over.Pos, Val: over}}}
		return merge(base, def, replace)
	}
	return over
}

// mergeStage merges the keys of a stage; null drops the stage. `with:` merges
// field by field, unless the stage now uses another type.
func mergeStage(_ string, base, over *Value) *Value {
	if over.Kind == Null {
		return nil
	}
	b, o := base.Lookup("uses"), over.Lookup("uses")
	sameType := o == nil || b == nil || o.Equal(b)
	return merge(base, over, func(key string, b, o *Value) *Value {
		if key == "with" && sameType {
			return mergeDeep(key, b, o)
		}
		return o
	})
}

func mergeDeep(_ string, base, over *Value) *Value {
	if base.Kind == Map && over.Kind == Map {
		return merge(base, over, mergeDeep)
	}
	return over
}
