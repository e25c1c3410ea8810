package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// RunData is what a run's record keeps of how the recipe was read, so that it can
// be read the same way again. It is [store.RunInfo.Data].
type RunData struct {
	Seed    uint64            `json:"seed"`
	Profile string            `json:"profile,omitempty"`
	Params  map[string]any    `json:"params,omitempty"` // given by --set and params files; paths are absolute, secrets masked
	Env     map[string]string `json:"env,omitempty"`    // variables that the recipe lists under env:, as far as they were set
	Pins    map[string]string `json:"pins,omitempty"`   // what names that others can change stood for; see [lock.Pins]
}

// pins are those of a run that is about to start, as far as they are known yet.
func pins(ctx context.Context, g *graph.Graph, locked *lock.Recipe) map[string]string {
	var all []stage.Revision
	for _, n := range g.Nodes {
		if n.Skip {
			continue
		}
		if revs, err := n.Config.Revisions(ctx); err == nil {
			all = append(all, revs...)
		}
	}
	out := lock.Pins(all)
	if locked != nil { // the configs name it exactly already
		for name, exact := range locked.Pins() {
			out[name] = exact
		}
	}
	return out
}

func runData(ctx context.Context, g *graph.Graph, seed uint64, locked *lock.Recipe) (json.RawMessage, error) {
	d := RunData{Seed: seed, Profile: g.Recipe.Profile, Params: map[string]any{}, Env: map[string]string{}, Pins: pins(ctx, g, locked)}
	for _, p := range g.Recipe.Params {
		if p.Origin != recipe.FromSet && p.Origin != recipe.FromFile {
			continue
		}
		d.Params[p.Name] = p.Value.Interface()
		if path := p.Value.Path(); p.Type == recipe.PathParam && path != "" && !strings.Contains(path, "://") {
			abs, err := filepath.Abs(path)
			if err != nil {
				return nil, fmt.Errorf("recording param %s: %w", p.Name, err)
			}
			if strings.HasSuffix(path, "/") {
				abs += "/"
			}
			d.Params[p.Name] = abs
		}
	}
	for _, name := range g.Recipe.Env {
		if v, ok := os.LookupEnv(name); ok {
			d.Env[name] = secret.MaskURLs(v)
		}
	}
	for name, v := range d.Params {
		if b, err := json.Marshal(v); err == nil {
			if m := maskedParam(name, b); string(m) != string(b) {
				d.Params[name] = m
			}
		}
	}
	b, err := json.Marshal(d)
	if err != nil {
		// A param may be .inf, which JSON cannot write. That must not end the run; a
		// bundle of it will say that its keys differ.
		return nil, nil
	}
	return b, nil
}
