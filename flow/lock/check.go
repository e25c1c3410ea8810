package lock

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// CheckPlan compares what is known before a run with the lock: which stages take
// part, and of each its type, implementation, config, seed, platform and outside
// files; its inputs and results as far as they are cached. What the run makes is
// for [Recipe.CheckStage].
func (r *Recipe) CheckPlan(ctx context.Context, p *plan.Plan, seed uint64, h plan.Hasher) ([]Deviation, error) {
	var out []Deviation
	seen := map[string]bool{}
	if seed != r.Seed {
		out = append(out, Deviation{"", fmt.Sprintf("seed %d -> %d", r.Seed, seed)})
	}
	for _, s := range p.Steps {
		name := s.Node.Name
		locked := r.Stages[name]
		seen[name] = true
		switch {
		case s.Status == plan.Skip && locked != nil:
			out = append(out, Deviation{name, "is skipped (" + s.Reason.String() + "), and took part in the locked run"})
		case s.Status == plan.Skip:
		case locked == nil:
			out = append(out, Deviation{name, "is not in the lock"})
		case s.Status == plan.Wait:
			// Its inputs come from stages that have to run, so they are left out.
			pre, err := plan.NodePreimage(ctx, s.Node, seed, nil, h)
			if err != nil {
				return nil, fmt.Errorf("stage %s: %w", name, err)
			}
			old := *locked
			old.Inputs = nil
			more, err := differences(ctx, s.Node, &old, pre, seed != r.Seed)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		default:
			more, err := r.checkStage(ctx, s.Node, s.Canonical, s.Outputs, seed != r.Seed)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Stages)) {
		if !seen[name] {
			out = append(out, Deviation{name, "is in the lock, and no longer in the recipe"})
		}
	}
	return out, nil
}

// CheckStage compares a stage with the lock: its preimage, and its outputs unless
// they are nil. A deviation is a *[DeviationError].
func (r *Recipe) CheckStage(ctx context.Context, n *graph.Node, preimage json.RawMessage, outputs map[string]store.Output) error {
	ds, err := r.checkStage(ctx, n, preimage, outputs, false)
	if err == nil && len(ds) > 0 {
		err = &DeviationError{ds}
	}
	return err
}

func (r *Recipe) checkStage(ctx context.Context, n *graph.Node, preimage json.RawMessage, outputs map[string]store.Output, otherSeed bool) ([]Deviation, error) {
	locked := r.Stages[n.Name]
	if locked == nil {
		return []Deviation{{n.Name, "is not in the lock"}}, nil
	}
	var cur plan.Preimage
	if err := json.Unmarshal(preimage, &cur); err != nil {
		return nil, fmt.Errorf("stage %s: reading its preimage: %w", n.Name, err)
	}
	out, err := differences(ctx, n, locked, &cur, otherSeed)
	if err != nil || len(out) > 0 {
		return out, err // that its results differ too goes without saying
	}
	for _, port := range slices.Sorted(maps.Keys(outputs)) {
		if was, is := locked.Outputs[port], outputs[port].Digest; was != is {
			out = append(out, Deviation{n.Name, fmt.Sprintf("output %s is %s, the lock has %s", port, short(string(is)), short(string(was)))})
		}
	}
	return out, nil
}

// differences lists what changed since the lock. Another seed of the whole run is
// told once and not for each stage.
func differences(ctx context.Context, n *graph.Node, locked *Stage, cur *plan.Preimage, otherSeed bool) ([]Deviation, error) {
	var out []Deviation
	for _, d := range plan.Diff(&locked.Preimage, cur, n.Type.Config.DefaultOf) {
		if otherSeed && d.Code == plan.SeedChanged && d.Field == "seed" {
			continue
		}
		text := d.String()
		if d.Old != "" && d.New != "" && (d.Code == plan.InputChanged || d.Code == plan.FileChanged) {
			text += fmt.Sprintf(" (%s -> %s)", short(d.Old), short(d.New))
		}
		out = append(out, Deviation{n.Name, text})
	}
	if len(out) > 0 {
		return out, nil // another model is said already
	}
	return revised(ctx, n, locked.Revisions)
}

// revised tells which names stand for something else than when the lock was
// written. A config that names what a name stood for, as [Pinned] makes it,
// has not changed.
func revised(ctx context.Context, n *graph.Node, locked []stage.Revision) ([]Deviation, error) {
	if len(locked) == 0 {
		return nil, nil
	}
	now, err := n.Config.Revisions(ctx)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", n.Name, err)
	}
	var out []Deviation
	for _, was := range locked {
		i := slices.IndexFunc(now, func(r stage.Revision) bool { return r.Name == was.Name })
		exact := false
		if i < 0 {
			if exact, err = namesExactly(n, was.Resolved); err != nil {
				return nil, err
			}
		}
		switch {
		case exact:
		case i < 0:
			out = append(out, Deviation{n.Name, fmt.Sprintf("%s is no longer used", was.Name)})
		case now[i].Resolved != was.Resolved:
			out = append(out, Deviation{n.Name, fmt.Sprintf("%s was %s, and is %s", was.Name, was.Resolved, now[i].Resolved)})
		}
	}
	return out, nil
}

// short cuts digests to what tells them apart at a glance.
func short(digests string) string {
	parts := strings.Split(digests, ",")
	for i, p := range parts {
		_, hex, _ := strings.Cut(p, ":")
		if len(hex) > 12 {
			hex = hex[:12]
		}
		if hex != "" {
			parts[i] = hex
		}
	}
	if len(parts) > 3 {
		parts = append(parts[:3], "...")
	}
	return strings.Join(parts, ",")
}
