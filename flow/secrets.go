package flow

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// noSecrets reports keys of the user's environment that stand in a recipe, in the params
// given to it or in what its expressions made: from there they would get into locks,
// bundles and the records of runs.
func noSecrets(r *recipe.Recipe, g *graph.Graph) diag.List {
	known := secret.FromEnv(os.Environ())
	var out diag.List
	report := func(pos diag.Pos, what, name string) {
		out.Add(diag.Errorf(pos, "secret", "%s the value of the environment variable %s", what, name).
			WithHelp("keys stay in the environment: name the variable in api_key_env of a model, or in pass_env of exec"))
	}
	for _, f := range r.Files {
		text, _ := r.Sources.Text(f.Path)
		if name := known.In(text); name != "" {
			report(diag.Pos{File: f.Path}, "the file holds", name)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, p := range r.Params {
		if name := known.In(string(plainJSON(p.Value))); name != "" {
			report(p.NamePos, "param "+p.Name+" has", name)
		}
	}
	if len(out) > 0 || g == nil {
		return out
	}
	for _, n := range g.Nodes {
		if n.Config == nil { // it is wrong, which was reported
			continue
		}
		b, err := n.Config.JSON()
		if err != nil {
			continue // said when the stage runs
		}
		if name := known.In(string(b) + n.Stage.Save); name != "" {
			report(n.Stage.WithPos, "the settings of stage "+n.Name+" hold", name)
		}
	}
	return out
}

// secretsOf are the keys that a run must not show: those of the environment and those in the
// files that its stages take them from.
func (e *Engine) secretsOf(g *graph.Graph) *secret.Known {
	environ := os.Environ()
	for _, n := range g.Nodes {
		for _, s := range n.Config.Reach(e.getenv()).Servers {
			if !strings.ContainsRune(s.Key, filepath.Separator) {
				continue
			}
			if b, err := paths.ReadFile(s.Key, 1<<20); err == nil {
				environ = append(environ, "API_KEY="+string(b))
			}
		}
	}
	return secret.FromEnv(environ)
}

// hidden passes events on without secrets: a program or a server may repeat what it was
// given.
func hidden(known *secret.Known, sink event.Sink) event.Sink {
	return func(e event.Event) {
		e.Message, e.Reason, e.Error = known.Hide(e.Message), known.Hide(e.Reason), known.Hide(e.Error)
		sink(e)
	}
}

// maskedParam is the value of a param for the record of a run.
func maskedParam(name string, v json.RawMessage) json.RawMessage {
	if secret.Name(name) && string(v) != `""` && string(v) != "null" {
		return json.RawMessage(`"` + secret.Mask + `"`)
	}
	return secret.MaskJSON(v)
}
