// Package plandiff compares two plans, or a plan with a run: which stages were added,
// removed or changed, and how. Stages go by their names.
package plandiff

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
)

// Change says how a stage differs between two plans.
type Change string

// The ways in which a stage differs.
const (
	Added     Change = "added"
	Removed   Change = "removed"
	Changed   Change = "changed"
	Unchanged Change = "unchanged"
	Unknown   Change = "unknown" // the other side's record is gone
)

// Changes lists them in the order in which they are told.
var Changes = []Change{Added, Removed, Changed, Unknown, Unchanged}

// Codes of reasons besides those of package plan.
const (
	SourceChanged   plan.Code = "source_changed"   // Field: the input port; another stage or port feeds it
	UpstreamChanged plan.Code = "upstream_changed" // Field: the input port; New: the stage behind it that changed
	RecordGone      plan.Code = "record_gone"      // nothing tells what the result of the run was made of
	Skipped         plan.Code = "skipped"          // in the recipe, but left out; Old: why
)

// Stage is one stage in the comparison.
type Stage struct {
	Name    string        `json:"name"`
	Uses    string        `json:"uses"`
	Change  Change        `json:"change"`
	Key     string        `json:"key"`     // "" where it is not known
	OldKey  string        `json:"old_key"` // likewise
	Reasons []plan.Reason `json:"reasons"`
}

// Side is one of two plans as the comparison sees it.
type Side struct {
	Label  string
	order  []string
	stages map[string]*sideStage
}

// sideStage is what is known of a stage of one side.
type sideStage struct {
	uses    string
	key     string
	pre     *plan.Preimage      // nil: not recorded
	inputs  bool                // pre has the digests of the inputs
	sources map[string][]string // by port, as recipes write them; nil: not recorded
	deps    []string
	skipped string                    // why it is left out, "" if it takes part
	def     func(field string) string // the default of a config field
}

// OfPlan reads a plan.
func OfPlan(ctx context.Context, label string, p *plan.Plan) (*Side, error) {
	s := &Side{Label: label, stages: map[string]*sideStage{}}
	for i := range p.Steps {
		step := &p.Steps[i]
		n := step.Node
		x := &sideStage{uses: n.Type.Type, key: step.Key, sources: map[string][]string{}, def: n.Type.Config.DefaultOf}
		s.order = append(s.order, n.Name)
		s.stages[n.Name] = x
		for _, in := range n.Inputs {
			for _, src := range in.Sources {
				x.sources[in.Port.Name] = append(x.sources[in.Port.Name], src.Label())
			}
		}
		for _, d := range n.Deps() {
			x.deps = append(x.deps, d.Name)
		}
		switch {
		case step.Status == plan.Skip:
			x.skipped = step.Reason.String()
		case step.Canonical != nil:
			x.pre, x.inputs = &plan.Preimage{}, true
			if err := json.Unmarshal(step.Canonical, x.pre); err != nil {
				return nil, fmt.Errorf("stage %s: %w", n.Name, err)
			}
		default: // it waits: all but the inputs is known
			var err error
			if x.pre, err = plan.NodePreimage(ctx, n, p.Seed, nil, plainHasher{}); err != nil {
				return nil, fmt.Errorf("stage %s: %w", n.Name, err)
			}
		}
	}
	return s, nil
}

// OfRun reads what a store remembers of a run.
func OfRun(st *store.Store, r store.RunInfo) (*Side, error) {
	s := &Side{Label: "run " + r.ID, stages: map[string]*sideStage{}}
	for _, name := range slices.Sorted(maps.Keys(r.Actions)) {
		x := &sideStage{key: r.Actions[name]}
		s.order = append(s.order, name)
		s.stages[name] = x
		a, _, err := st.GetAction(x.key)
		if err != nil {
			return nil, err
		}
		if a == nil || a.Preimage == nil {
			continue
		}
		x.pre, x.inputs = &plan.Preimage{}, true
		if err := json.Unmarshal(a.Preimage, x.pre); err != nil {
			return nil, fmt.Errorf("key %s: its record cannot be read: %w", x.key, err)
		}
		x.uses = x.pre.Type
	}
	return s, nil
}

// plainHasher hashes files outside any store.
type plainHasher struct{}

// HashFile implements [plan.Hasher].
func (plainHasher) HashFile(_ context.Context, path string) (store.Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return store.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), n, err
}

// Compare lists the stages of both sides: those of cur in its order, then what is only
// in old.
func Compare(old, cur *Side) []Stage {
	var out []Stage
	moved := map[string]bool{} // stages of cur whose results differ, or may
	for _, name := range cur.order {
		d := compareStage(name, old.stages[name], cur.stages[name], moved)
		moved[name] = d.Change != Unchanged
		if d.Change != "" {
			out = append(out, d)
		}
	}
	for _, name := range old.order {
		if o := old.stages[name]; cur.stages[name] == nil && o.skipped == "" {
			out = append(out, Stage{Name: name, Uses: o.uses, Change: Removed, OldKey: o.key, Reasons: []plan.Reason{}})
		}
	}
	return out
}

// compareStage compares a stage that cur has. Change is "" for one that neither side runs.
func compareStage(name string, o, c *sideStage, moved map[string]bool) Stage {
	d := Stage{Name: name, Uses: c.uses, Key: c.key, Reasons: []plan.Reason{}}
	runs := o != nil && o.skipped == ""
	switch {
	case !runs && c.skipped != "":
		return d
	case c.skipped != "":
		d.Change, d.OldKey = Removed, o.key
		d.Reasons = append(d.Reasons, plan.Reason{Code: Skipped, Old: c.skipped})
		return d
	case !runs:
		d.Change = Added
		if o != nil {
			d.Reasons = append(d.Reasons, plan.Reason{Code: Skipped, Old: o.skipped})
		}
		return d
	}
	d.OldKey = o.key
	if o.key != "" && o.key == c.key {
		d.Change = Unchanged
		return d
	}
	if o.pre == nil {
		d.Change = Unknown
		d.Reasons = append(d.Reasons, plan.Reason{Code: RecordGone})
		return d
	}
	d.Reasons = append(d.Reasons, differences(o, c)...)
	d.Reasons = append(d.Reasons, edges(o, c, moved, d.Reasons)...)
	d.Change = Unchanged
	if len(d.Reasons) > 0 {
		d.Change = Changed
	}
	return d
}

// differences compares what the results are made of; the inputs only where both sides
// know them.
func differences(o, c *sideStage) []plan.Reason {
	a, b := *o.pre, *c.pre
	if !o.inputs || !c.inputs {
		a.Inputs, b.Inputs = nil, nil
	}
	return plan.Diff(&a, &b, c.def)
}

// edges compares where the inputs come from. That what stands upstream changed is told
// where the content of the inputs is not known.
func edges(o, c *sideStage, moved map[string]bool, told []plan.Reason) []plan.Reason {
	var out []plan.Reason
	known := o.inputs && c.inputs
	for _, port := range slices.Sorted(maps.Keys(c.sources)) {
		from := c.sources[port]
		if o.sources != nil && !slices.Equal(o.sources[port], from) {
			out = append(out, plan.Reason{Code: SourceChanged, Field: port, Old: strings.Join(o.sources[port], ", "), New: strings.Join(from, ", ")})
			continue
		}
		if known {
			continue
		}
		for _, src := range from {
			if stage, _ := c.sourceStage(src); moved[stage] {
				out = append(out, plan.Reason{Code: UpstreamChanged, Field: port, New: stage})
				break
			}
		}
	}
	for _, port := range slices.Sorted(maps.Keys(o.sources)) {
		if _, ok := c.sources[port]; !ok {
			out = append(out, plan.Reason{Code: SourceChanged, Field: port, Old: strings.Join(o.sources[port], ", ")})
		}
	}
	if known && len(told) == 0 && o.sources != nil && len(out) > 0 {
		return nil // the same content by another way
	}
	return out
}

// sourceStage finds the stage of a source's label, whose name may hold dots.
func (c *sideStage) sourceStage(label string) (string, bool) {
	for _, d := range c.deps {
		if rest, ok := strings.CutPrefix(label, d+"."); ok && !strings.Contains(rest, ".") {
			return d, true
		}
	}
	return "", false
}
