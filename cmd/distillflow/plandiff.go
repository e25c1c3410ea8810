package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
)

// change says how a stage differs between two plans.
type change string

const (
	stageAdded     change = "added"
	stageRemoved   change = "removed"
	stageChanged   change = "changed"
	stageUnchanged change = "unchanged"
	stageUnknown   change = "unknown" // the other side's record is gone
)

var changes = []change{stageAdded, stageRemoved, stageChanged, stageUnknown, stageUnchanged}

// Codes of reasons besides those of package plan.
const (
	sourceChanged   plan.Code = "source_changed"   // Field: the input port; another stage or port feeds it
	upstreamChanged plan.Code = "upstream_changed" // Field: the input port; New: the stage behind it that changed
	recordGone      plan.Code = "record_gone"      // nothing tells what the result of the run was made of
	skippedHere     plan.Code = "skipped"          // in the recipe, but left out; Old: why
)

// stageDiff is one stage in the comparison.
type stageDiff struct {
	Name    string        `json:"name"`
	Uses    string        `json:"uses"`
	Change  change        `json:"change"`
	Key     string        `json:"key"`     // "" where it is not known
	OldKey  string        `json:"old_key"` // likewise
	Reasons []plan.Reason `json:"reasons"`
}

// side is one of two plans as the comparison sees it.
type side struct {
	label  string
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

// sideOfPlan reads a plan. seed is the one that it was made with.
func sideOfPlan(ctx context.Context, label string, p *plan.Plan, seed uint64) (*side, error) {
	s := &side{label: label, stages: map[string]*sideStage{}}
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
			if x.pre, err = plan.NodePreimage(ctx, n, seed, nil, plainHasher{}); err != nil {
				return nil, fmt.Errorf("stage %s: %w", n.Name, err)
			}
		}
	}
	return s, nil
}

// sideOfRun reads what a store remembers of a run.
func sideOfRun(st *store.Store, r store.RunInfo) (*side, error) {
	s := &side{label: "run " + r.ID, stages: map[string]*sideStage{}}
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

// compare lists the stages of both sides: those of cur in its order, then what is only
// in old.
func compare(old, cur *side) []stageDiff {
	var out []stageDiff
	moved := map[string]bool{} // stages of cur whose results differ, or may
	for _, name := range cur.order {
		d := compareStage(name, old.stages[name], cur.stages[name], moved)
		moved[name] = d.Change != stageUnchanged
		if d.Change != "" {
			out = append(out, d)
		}
	}
	for _, name := range old.order {
		if o := old.stages[name]; cur.stages[name] == nil && o.skipped == "" {
			out = append(out, stageDiff{Name: name, Uses: o.uses, Change: stageRemoved, OldKey: o.key, Reasons: []plan.Reason{}})
		}
	}
	return out
}

// compareStage compares a stage that cur has. Change is "" for one that neither side runs.
func compareStage(name string, o, c *sideStage, moved map[string]bool) stageDiff {
	d := stageDiff{Name: name, Uses: c.uses, Key: c.key, Reasons: []plan.Reason{}}
	runs := o != nil && o.skipped == ""
	switch {
	case !runs && c.skipped != "":
		return d
	case c.skipped != "":
		d.Change, d.OldKey = stageRemoved, o.key
		d.Reasons = append(d.Reasons, plan.Reason{Code: skippedHere, Old: c.skipped})
		return d
	case !runs:
		d.Change = stageAdded
		if o != nil {
			d.Reasons = append(d.Reasons, plan.Reason{Code: skippedHere, Old: o.skipped})
		}
		return d
	}
	d.OldKey = o.key
	if o.key != "" && o.key == c.key {
		d.Change = stageUnchanged
		return d
	}
	if o.pre == nil {
		d.Change = stageUnknown
		d.Reasons = append(d.Reasons, plan.Reason{Code: recordGone})
		return d
	}
	d.Reasons = append(d.Reasons, differences(o, c)...)
	d.Reasons = append(d.Reasons, edges(o, c, moved, d.Reasons)...)
	d.Change = stageUnchanged
	if len(d.Reasons) > 0 {
		d.Change = stageChanged
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
			out = append(out, plan.Reason{Code: sourceChanged, Field: port, Old: strings.Join(o.sources[port], ", "), New: strings.Join(from, ", ")})
			continue
		}
		if known {
			continue
		}
		for _, src := range from {
			if stage, _ := c.sourceStage(src); moved[stage] {
				out = append(out, plan.Reason{Code: upstreamChanged, Field: port, New: stage})
				break
			}
		}
	}
	for _, port := range slices.Sorted(maps.Keys(o.sources)) {
		if _, ok := c.sources[port]; !ok {
			out = append(out, plan.Reason{Code: sourceChanged, Field: port, Old: strings.Join(o.sources[port], ", ")})
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

// planDiff compares a plan with what --diff names.
func (a app) planDiff(ctx context.Context, f *recipeFlags, p *plan.Plan, seed uint64, other, format string) error {
	old, err := a.otherSide(ctx, f, p.Graph, other)
	if err != nil {
		return err
	}
	cur, err := sideOfPlan(ctx, p.Graph.Recipe.File, p, seed)
	if err != nil {
		return err
	}
	stages := compare(old, cur)
	if format == "json" {
		return diffJSON(a.out, old, cur, stages)
	}
	return diffText(a.out, old, cur, stages)
}

// otherSide finds what --diff names: a recipe, or a run of this recipe.
func (a app) otherSide(ctx context.Context, f *recipeFlags, g *graph.Graph, other string) (*side, error) {
	info, err := os.Stat(other)
	if ext := filepath.Ext(other); err != nil && ext != ".yaml" && ext != ".yml" {
		sf := storeFlags{dir: f.store}
		st, err := sf.open(a, g.Recipe.File, true)
		if err != nil {
			return nil, err
		}
		defer st.Close()
		r, err := findRun(st, other)
		if err != nil {
			return nil, err
		}
		return sideOfRun(st, r)
	}
	if err != nil || info.IsDir() {
		return nil, usageError{fmt.Errorf("--diff %s: want a recipe, or the id of a run", other)}
	}
	e, og, o, err := a.load(ctx, &recipeFlags{store: f.store}, other)
	if err != nil {
		return nil, err
	}
	p, err := e.Plan(ctx, og, o)
	if err != nil {
		return nil, err
	}
	return sideOfPlan(ctx, other, p, seedOf(og, o))
}

// seedOf is the seed that a plan was made with.
func seedOf(g *graph.Graph, o flow.RunOptions) uint64 {
	switch {
	case o.Seed != nil:
		return *o.Seed
	case g.Recipe.HasSeed:
		return g.Recipe.Seed
	}
	return flow.DefaultSeed
}
