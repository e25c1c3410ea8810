package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// RunRecipe is what a run's folder keeps for people: the recipe as the run read it,
// and where it ran. Nothing is computed from it. It lies beside run.json, which is
// written more than once and read by those who only want the keys.
type RunRecipe struct {
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	Files       []string   `json:"files,omitempty"`  // that it was read from, the recipe first
	Params      []RunParam `json:"params,omitempty"` // all, in the order of declaration
	Stages      []RunStage `json:"stages"`           // each behind those that it reads from
	Locked      bool       `json:"locked,omitempty"` // the run followed a lock
	Machine     Machine    `json:"machine"`
}

// RunParam is a param with the value that the run used.
type RunParam struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value"`
	Origin recipe.Origin   `json:"origin"`
}

// RunStage is one stage of the graph.
type RunStage struct {
	Name   string          `json:"name"`
	Type   string          `json:"type"`
	With   json.RawMessage `json:"with,omitempty"` // the fields that the recipe gives, resolved
	Inputs []RunInput      `json:"inputs,omitempty"`
}

// RunInput is one edge of the graph: the output of a stage feeds a port.
type RunInput struct {
	Port   string `json:"port"`
	Stage  string `json:"stage"`
	Output string `json:"output"`
}

// Machine is where a run ran, and by which program.
type Machine struct {
	Program  string   `json:"program,omitempty"` // version of distillflow
	Go       string   `json:"go"`
	Platform string   `json:"platform"` // operating system and architecture
	Host     string   `json:"host,omitempty"`
	CPUs     int      `json:"cpus"`
	GPUs     []string `json:"gpus,omitempty"` // shared out among the stages
}

const runRecipeFile = "recipe.json"

func (e *Engine) runRecipe(g *graph.Graph, locked bool, gpus []string) RunRecipe {
	host, _ := os.Hostname()
	r := RunRecipe{
		Name: g.Recipe.Name, Description: g.Recipe.Description, Locked: locked,
		Machine: Machine{Program: e.Program, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Host: host, CPUs: runtime.NumCPU(), GPUs: gpus},
	}
	for _, f := range g.Recipe.Files {
		r.Files = append(r.Files, f.Path)
	}
	for _, p := range g.Recipe.Params {
		r.Params = append(r.Params, RunParam{Name: p.Name, Value: maskedParam(p.Name, plainJSON(p.Value)), Origin: p.Origin})
	}
	for _, n := range g.Nodes {
		s := RunStage{Name: n.Name, Type: n.Type.Type}
		if !n.Stage.With.IsNull() {
			s.With = secret.MaskJSON(plainJSON(n.Stage.With))
		}
		for _, in := range n.Inputs {
			for _, src := range in.Sources {
				s.Inputs = append(s.Inputs, RunInput{Port: in.Port.Name, Stage: src.Node.Name, Output: src.Port.Name})
			}
		}
		r.Stages = append(r.Stages, s)
	}
	return r
}

// plainJSON is a value as JSON; one that JSON cannot write, such as .inf, as text.
func plainJSON(v *recipe.Value) json.RawMessage {
	tree := v.Interface()
	b, err := json.Marshal(tree)
	if err != nil {
		b, _ = json.Marshal(fmt.Sprint(tree)) // text always can be
	}
	return b
}

func (r RunRecipe) write(run *store.Run) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return err
	}
	return run.Keep(runRecipeFile, b.Bytes())
}

// ReadRunRecipe reads what a run noted of its recipe; nil for a run of a program that
// noted none.
func ReadRunRecipe(st *store.Store, id string) (*RunRecipe, error) {
	b, err := os.ReadFile(filepath.Join(st.RunDir(id), runRecipeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	r := &RunRecipe{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("run %s: %s: %w: %w", id, runRecipeFile, store.ErrCorrupt, err)
	}
	return r, nil
}
