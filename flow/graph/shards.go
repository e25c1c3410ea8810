package graph

import (
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/stage"
)

// shards reports a stage whose rows the recipe shares out, and that needs them together.
func (b *builder) shards(n *Node) {
	s := n.Stage
	if s.Shards == 0 {
		return
	}
	if n.Type.RowByRow == "" {
		b.diags.Add(diag.Errorf(s.ShardsPos, "shards", "%s cannot have shards: it does not work row by row, so what it writes may depend on several rows", n.Type.Type).
			WithHelp("stages that work row by row can: %s", strings.Join(b.rowByRow(), ", ")))
		return
	}
	if n.Config == nil || s.Shards == 1 {
		return
	}
	for _, e := range stage.FieldErrors(n.Config.Whole()) {
		v, _, name := find(s.With, e.Path)
		if v.Broken() {
			continue
		}
		d := diag.Errorf(s.ShardsPos, "shards", "%s cannot have shards here: %s", n.Type.Type, strings.TrimSpace(name+" "+e.Msg))
		if v != nil && v.Pos.IsValid() {
			d = d.WithRelated(diag.At(v.Pos), "%s stands here", name)
		}
		b.diags.Add(d)
	}
}

func (b *builder) rowByRow() []string {
	var names []string
	for _, name := range b.reg.Names() {
		if t, _ := b.reg.Lookup(name); t.RowByRow != "" {
			names = append(names, name)
		}
	}
	return names
}
