package expect

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/store"
)

func (p *parser) checks(v *recipe.Value) []Check {
	if v.IsNull() || !p.want(v, recipe.Map, "`expect` maps ports (stage or stage.port) to what is expected of them") {
		return nil
	}
	var out []Check
	for _, e := range v.Entries {
		port := Name{e.Key, e.KeyPos}
		if !p.want(e.Val, recipe.Map, "what is expected of a port is a map such as {count: 2}") || !p.keys(e.Val, "an expectation", checkKeys) {
			continue
		}
		if len(e.Val.Entries) == 0 {
			p.diags.Errorf(e.Val.Pos, "no-expect", "nothing is expected of %s", e.Key)
		}
		for _, c := range e.Val.Entries {
			out = append(out, p.check(port, c)...)
		}
	}
	return out
}

// check reads one expectation; several expressions make several checks.
func (p *parser) check(port Name, e recipe.Entry) []Check {
	c := Check{Kind: Kind(e.Key), Port: port, Pos: e.Val.Pos}
	switch c.Kind {
	case Count:
		return p.count(c, e.Val)
	case Fields:
		for _, f := range p.list(e.Val) {
			if name := p.text(f, "fields"); name != "" {
				c.Names = append(c.Names, name)
			}
		}
		return []Check{c}
	case Digest:
		c.Digest = p.text(e.Val, "digest")
		if !store.Digest(c.Digest).Valid() {
			p.diags.Add(diag.Errorf(c.Pos, "wrong-type", "%q is no digest", c.Digest).WithHelp("write sha256: and 64 hexadecimal digits, as `distillflow cache why` shows them"))
			return nil
		}
		return []Check{c}
	case Skipped:
		if !p.want(e.Val, recipe.Bool, "`skipped` is true or false") {
			return nil
		}
		c.Skipped = e.Val.Bool
		return []Check{c}
	}
	var out []Check
	for _, x := range p.list(e.Val) {
		if x.Kind == recipe.Bool {
			c.Expr = fmt.Sprint(x.Bool)
		} else if c.Expr = p.text(x, e.Key); c.Expr == "" {
			continue
		}
		c.Pos = x.Pos
		out = append(out, c)
	}
	return out
}

func (p *parser) count(c Check, v *recipe.Value) []Check {
	if v.Kind == recipe.Int && v.Int >= 0 {
		c.Min, c.Max = v.Int, v.Int
		return []Check{c}
	}
	if v.Kind != recipe.Map {
		p.wrong(v, "`count` is a number of rows, or {min, max}")
		return nil
	}
	if !p.keys(v, "a count", []string{"min", "max"}) {
		return nil
	}
	c.Max = -1
	for _, e := range v.Entries {
		if e.Val.Kind != recipe.Int || e.Val.Int < 0 {
			p.wrong(e.Val, "`"+e.Key+"` is a number of rows")
			return nil
		}
		if e.Key == "min" {
			c.Min = e.Val.Int
		} else {
			c.Max = e.Val.Int
		}
	}
	if c.Max >= 0 && c.Min > c.Max {
		p.diags.Errorf(v.Pos, "wrong-type", "no count is at least %d and at most %d", c.Min, c.Max)
		return nil
	}
	return []Check{c}
}

// want reports a value of another kind than the one that a rule asks for.
func (p *parser) want(v *recipe.Value, k recipe.Kind, rule string) bool {
	if v.Kind == k {
		return true
	}
	p.wrong(v, rule)
	return false
}

func (p *parser) wrong(v *recipe.Value, rule string) {
	if !v.Broken() {
		p.diags.Errorf(v.Pos, "wrong-type", "%s, not %s", rule, v.Describe())
	}
}

// text reads a string. Numbers are taken as written: an id may look like one.
func (p *parser) text(v *recipe.Value, key string) string {
	switch {
	case v == nil:
		return ""
	case v.Kind == recipe.String, v.Kind == recipe.Int, v.Kind == recipe.Float:
		return v.Str
	}
	p.wrong(v, "`"+key+"` is a text")
	return ""
}

// list gives the items of a list, or a single value as a list of one.
func (p *parser) list(v *recipe.Value) []*recipe.Value {
	switch {
	case v.IsNull():
		return nil
	case v.Kind == recipe.List:
		return v.Items
	}
	return []*recipe.Value{v}
}

// keys reports unknown keys.
func (p *parser) keys(v *recipe.Value, what string, known []string) bool {
	ok := true
	for _, e := range v.Entries {
		if slices.Contains(known, e.Key) {
			continue
		}
		d := diag.Errorf(e.KeyPos, "unknown-key", "unknown key %q", e.Key).Over(utf8.RuneCountInString(e.Key)).WithSuggestion(e.Key, known)
		if strings.ContainsAny(e.Key, "().=<>") {
			d.Suggestion, d.Help = "", "inside { } an expression with commas or brackets needs quotes"
		} else if d.Suggestion == "" {
			d = d.WithHelp("%s has %s", what, strings.Join(known, ", "))
		}
		p.diags.Add(d)
		ok = false
	}
	return ok
}
