package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/paths"
)

// Artifacts says which results a bundle holds besides those of stages that are
// named.
type Artifacts string

// The choices, each with all of the ones before it.
const (
	NoArtifacts     Artifacts = "none"
	PinnedArtifacts Artifacts = "pinned" // of stages that another machine may not make again to the bit
	FinalArtifacts  Artifacts = "final"  // of stages that no other stage reads
	AllArtifacts    Artifacts = "all"
)

// Choices lists the values of [Artifacts].
func Choices() []string {
	return []string{string(NoArtifacts), string(PinnedArtifacts), string(FinalArtifacts), string(AllArtifacts)}
}

// Source is the run to pack, and what is needed to look into it.
type Source struct {
	Run      store.RunInfo
	Graph    *graph.Graph // of the run's recipe, read as the run read it: see [SourceOf]
	Seed     uint64
	Store    *store.Store
	Memo     stage.Memo // holds the paid answers
	Registry *stage.Registry
	Program  string // version of the program
	// Getenv is the environment of stages that are run again to see which answers
	// they read. It must keep them from calling anybody.
	Getenv func(string) string
}

// Options choose what goes into a bundle.
type Options struct {
	Artifacts Artifacts
	Stages    []string // further stages whose results are packed
	Inputs    bool     // the files outside the store that stages read
	Models    bool     // also the heavy ones of them that can be fetched again, such as models
}

// SourceOf reads a run's recipe as the run did. Names of the Hub mean what they meant in
// the run, and not what has come since. What is wrong with the recipe is a [*LoadError].
// The source lacks its Memo and Program.
func SourceOf(st *store.Store, run store.RunInfo, reg *stage.Registry, getenv func(string) string) (src Source, err error) {
	tmp, err := os.MkdirTemp("", "distillflow-bundle-")
	if err != nil {
		return src, err
	}
	defer os.RemoveAll(tmp)
	o, data, err := recipeOptions(run, tmp)
	if err != nil {
		return src, err
	}
	if reg, err = lock.Pinned(reg, data.Pins); err != nil {
		return src, err
	}
	e := &flow.Engine{Registry: reg, Getenv: getenv}
	g, r, diags := e.Load(paths.Relative(run.RecipeID), o)
	if g == nil {
		return src, &LoadError{Recipe: r, Problems: diags}
	}
	if len(run.Data) == 0 { // a run of an older program
		if data.Seed = flow.DefaultSeed; r.HasSeed {
			data.Seed = r.Seed
		}
	}
	return Source{Run: run, Graph: g, Seed: data.Seed, Store: st, Registry: reg, Getenv: getenv}, nil
}

// recipeOptions says how to read a run's recipe as the run did: params that were
// given to it come from a file in dir, which the call writes.
func recipeOptions(run store.RunInfo, dir string) (recipe.Options, flow.RunData, error) {
	var d flow.RunData
	if len(run.Data) > 0 {
		if err := json.Unmarshal(run.Data, &d); err != nil {
			return recipe.Options{}, d, fmt.Errorf("run %s: its record cannot be read: %w", run.ID, err)
		}
	}
	o := recipe.Options{Profile: d.Profile, WorkDir: dir, LookupEnv: lookup(d.Env)}
	if len(d.Params) == 0 {
		return o, d, nil
	}
	b, err := encodeJSON(d.Params)
	if err != nil {
		return o, d, err
	}
	file := filepath.Join(dir, paramsName)
	o.ParamFiles = []string{file}
	return o, d, os.WriteFile(file, b, 0o600)
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// creator gathers what goes into a bundle.
type creator struct {
	src     Source
	opts    Options
	data    flow.RunData
	m       *Manifest
	layout  layout
	nodes   []*graph.Node // those that took part
	actions map[*graph.Node]*store.Action
	lock    *lock.Recipe
	texts   []string // of the recipe's files
	items   []item
	have    map[string]bool // paths of items
	keys    map[[32]byte]bool
	notes   map[string]string // why a stage is packed though it was not asked for
	used    map[string]int    // answers by stage
}

// Create packs a run into w. The run must be done and its recipe and files as
// they were. Each stage that asked a teacher is run again, with nobody to ask, to
// see which answers of the memo it reads; if its result does not come out again
// so, for want of an answer, the result itself is packed and the stage's Note
// says so.
func Create(ctx context.Context, w io.Writer, src Source, o Options) (*Manifest, error) {
	c, err := newCreator(src, o)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{c.results, c.recipe, c.remote, c.answers, c.artifacts} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return c.m, writeArchive(ctx, w, c.m, c.items)
}

func newCreator(src Source, o Options) (*creator, error) {
	c := &creator{
		src: src, opts: o, actions: map[*graph.Node]*store.Action{}, have: map[string]bool{},
		keys: map[[32]byte]bool{}, notes: map[string]string{}, used: map[string]int{},
		m: &Manifest{Format: Format, Program: src.Program, Host: runtime.GOOS + "/" + runtime.GOARCH, Seed: src.Seed, Stages: []Stage{}},
	}
	if len(src.Run.Data) > 0 {
		if err := json.Unmarshal(src.Run.Data, &c.data); err != nil {
			return nil, fmt.Errorf("run %s: its record cannot be read: %w", src.Run.ID, err)
		}
	}
	c.m.Profile, c.m.Env, c.m.Pins = c.data.Profile, c.data.Env, c.data.Pins
	return c, nil
}

func (c *creator) add(it item) {
	if !c.have[it.Path] {
		c.have[it.Path] = true
		c.items = append(c.items, it)
	}
}

// results finds the result of each stage and sees that the recipe still leads to
// it.
func (c *creator) results(ctx context.Context) error {
	run := c.src.Run
	if run.Status != "done" {
		return fmt.Errorf("run %s is %s: only a run that is done can be packed", run.ID, run.Status)
	}
	for _, name := range c.opts.Stages {
		if c.src.Graph.Node(name) == nil {
			return fmt.Errorf("the recipe has no stage %q", name)
		}
	}
	c.lock = &lock.Recipe{Program: c.src.Program, Host: c.m.Host, Seed: c.src.Seed, Stages: map[string]*lock.Stage{}}
	for _, n := range c.src.Graph.Nodes {
		key, ran := run.Actions[n.Name]
		if !ran {
			if n.Skip {
				continue
			}
			if _, skip := plan.Skipped(n, func(d *graph.Node) bool { return c.actions[d] == nil }); skip {
				continue
			}
			return fmt.Errorf("stage %s took no part in run %s: the recipe has changed since; run it again and pack that run", n.Name, run.ID)
		}
		a, ok, err := c.src.Store.GetAction(key)
		if err != nil {
			return err
		}
		switch {
		case a != nil && a.Incomplete:
			return fmt.Errorf("the result of stage %s is incomplete: run again until it is whole, and pack that run", n.Name)
		case !ok:
			return fmt.Errorf("the store no longer holds the result of stage %s: run the recipe again and pack that run", n.Name)
		}
		pre, err := plan.NodePreimage(ctx, n, c.src.Seed, c.digest, c.src.Store)
		if err != nil {
			return fmt.Errorf("stage %s: %w", n.Name, err)
		}
		if now, _, err := pre.Key(); err != nil {
			return err
		} else if now != key {
			return c.changed(n, a, pre)
		}
		ls, err := lock.NewStage(ctx, n.Config, a.Preimage, a.Outputs)
		if err != nil {
			return fmt.Errorf("stage %s: %w", n.Name, err)
		}
		c.lock.Stages[n.Name] = ls
		c.nodes, c.actions[n] = append(c.nodes, n), a
	}
	return nil
}

// digest is the [plan.Digests] of the stages that were looked at.
func (c *creator) digest(src graph.Source) (store.Digest, bool) {
	a := c.actions[src.Node]
	if a == nil {
		return "", false
	}
	o, ok := a.Outputs[src.Port.Name]
	return o.Digest, ok
}

func (c *creator) changed(n *graph.Node, a *store.Action, pre *plan.Preimage) error {
	var was plan.Preimage
	why := "it cannot be told what"
	if json.Unmarshal(a.Preimage, &was) == nil {
		var texts []string
		for _, r := range plan.Diff(&was, pre, n.Type.Config.DefaultOf) {
			texts = append(texts, r.String())
		}
		why = strings.Join(texts, "; ")
	}
	return fmt.Errorf("stage %s has changed since run %s (%s): run the recipe again and pack that run", n.Name, c.src.Run.ID, why)
}

// recipe packs the recipe's files, its inputs, its params and the lock.
func (c *creator) recipe(ctx context.Context) error {
	files, base, err := recipeFiles(c.src.Graph.Recipe)
	if err != nil {
		return err
	}
	c.layout.base = base
	texts := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("reading the recipe: %w", err)
		}
		texts[f] = b
		c.texts = append(c.texts, string(b))
	}
	if err := c.inputs(ctx); err != nil { // sets how deep the recipe has to lie
		return err
	}
	for i, f := range files {
		name, err := c.layout.place(f)
		if err != nil {
			return err
		}
		c.add(inMemory(name, texts[f]))
		if i == 0 {
			c.m.Recipe = name
		}
	}
	b, err := lock.Encode(c.m.Recipe, c.lock)
	if err != nil {
		return err
	}
	c.add(inMemory(lock.FileName, b))
	return c.params()
}

// params packs the params that the run was given, with paths as the bundle has
// them.
func (c *creator) params() error {
	if len(c.data.Params) == 0 {
		return nil
	}
	params := maps.Clone(c.data.Params)
	for name, v := range params {
		p, isText := v.(string)
		decl := c.src.Graph.Recipe.Param(name)
		if !isText || decl == nil || decl.Type != recipe.PathParam || !filepath.IsAbs(p) {
			continue
		}
		place, err := c.layout.place(p)
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, "/") {
			place += "/"
		}
		params[name] = place
	}
	b, err := encodeJSON(params)
	if err != nil {
		return err
	}
	c.add(inMemory(paramsName, b))
	return nil
}

// artifacts packs results and lists the stages.
func (c *creator) artifacts(context.Context) error {
	read := map[*graph.Node]bool{}
	for _, n := range c.nodes {
		for _, d := range n.Deps() {
			read[d] = true
		}
	}
	for _, n := range c.nodes {
		a := c.actions[n]
		locked := c.lock.Stages[n.Name]
		s := Stage{Name: n.Name, Type: n.Type.Type, Version: n.Type.Version, Key: a.Key,
			Platform: locked.Platform, Answers: c.used[n.Name], Note: c.notes[n.Name]}
		s.Packed = s.Note != "" || slices.Contains(c.opts.Stages, n.Name) || c.opts.Artifacts.takes(n, read[n])
		if s.Packed {
			if err := c.result(a); err != nil {
				return fmt.Errorf("stage %s: %w", n.Name, err)
			}
		}
		c.m.Stages = append(c.m.Stages, s)
	}
	return nil
}

// takes says which stages' results are packed. Pinned are those whose bytes may
// depend on the machine.
func (a Artifacts) takes(n *graph.Node, read bool) bool {
	pinned := n.Type.Class == stage.Volatile || n.Type.Platform != nil
	switch a {
	case PinnedArtifacts:
		return pinned
	case FinalArtifacts:
		return pinned || !read
	case AllArtifacts:
		return true
	}
	return false
}

// packedAction is the content of actions/KEY.json: the entry without what
// differs from run to run.
type packedAction struct {
	Action   store.Action    `json:"action"`
	Preimage json.RawMessage `json:"preimage"`
}

func (c *creator) result(a *store.Action) error {
	head := *a
	head.Meta = store.Meta{}
	b, err := encodeJSON(packedAction{head, a.Preimage})
	if err != nil {
		return err
	}
	c.add(inMemory(actionName(a.Key), b))
	for _, o := range a.Outputs {
		if err := c.blob(o.Digest); err != nil {
			return err
		}
		if o.Kind != store.KindDir {
			continue
		}
		entries, err := c.src.Store.Tree(o.Digest)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Digest == "" {
				continue
			}
			if err := c.blob(e.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *creator) blob(d store.Digest) error {
	p, err := c.src.Store.VerifiedPath(d)
	if err != nil {
		return err
	}
	info, err := os.Stat(p)
	if err != nil {
		return fmt.Errorf("reading a result: %w", err)
	}
	c.add(copied(Entry{blobName(d), info.Size(), d}, func() (io.ReadCloser, error) { return os.Open(p) }))
	return nil
}

// encodeJSON leaves raw JSON as it is, to the byte.
func encodeJSON(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return []byte(b.String()), nil
}
