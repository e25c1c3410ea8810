package recipe

import "slices"

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

// mergeTop merges whole recipes: params, profiles, tasks and stages by name, env as a
// union; anything else is replaced.
func mergeTop(key string, base, over *Value) *Value {
	switch key {
	case "params":
		return merge(base, over, mergeParam)
	case "profiles":
		return merge(base, over, func(_ string, b, o *Value) *Value { return merge(b, o, replace) })
	case "tasks":
		return merge(base, over, mergeTask)
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

// mergeTask merges a declaration field by field; null drops the task, one of its fields
// or of its labels.
func mergeTask(_ string, base, over *Value) *Value {
	switch {
	case over.Kind == Null:
		return nil
	case base.Kind == Map && over.Kind == Map:
		return merge(base, over, mergeTask)
	}
	return over
}

func mergeDeep(_ string, base, over *Value) *Value {
	if base.Kind == Map && over.Kind == Map {
		return merge(base, over, mergeDeep)
	}
	return over
}
