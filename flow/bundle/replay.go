package bundle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// ReplayOptions adjust a replay.
type ReplayOptions struct {
	Registry *stage.Registry
	StoreDir string   // "" means a store of its own in the bundle's folder
	Inputs   []string // folders in which files that the bundle leaves out are looked for
	// Caches are folders laid out as [CacheDir], in which files from elsewhere that the
	// bundle leaves out are looked for. Fetch says that Getenv lets stages fetch them.
	Caches []string
	Fetch  bool
	// Getenv is the environment of the stages. It must keep them from calling
	// anybody: answers come from the bundle alone.
	Getenv func(string) string
	// Refuse may forbid a stage to run, with the error it returns; nil forbids
	// none. A stage whose result is in the bundle does not run.
	Refuse func(t stage.Task) error
	Run    flow.RunOptions // Jobs, Limits and Sink count; the rest is the bundle's
}

// LoadError is a recipe in a bundle that cannot be read.
type LoadError struct {
	Problems diag.List
	Recipe   *recipe.Recipe // its Sources serve to render the problems
}

// Error implements error.
func (e *LoadError) Error() string { return "the recipe in the bundle has mistakes" }

// Replay runs the recipe of a bundle that was unpacked into dir and compares what
// comes out with the run's lock. Nothing outside dir and the store is written:
// save: is left alone. What a stage gave differently does not reach the stages
// after it, which count as missing. The error wraps a *[lock.DeviationError] if
// anything deviates; a list is returned with it, as with the error of a stage
// that failed.
func Replay(ctx context.Context, dir string, m *Manifest, o ReplayOptions) ([]Compared, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("replaying: %w", err)
	}
	r := &replay{dir: dir, m: m, opts: o, deviates: map[string]bool{}, hits: map[string]bool{}}
	if r.lock, err = lock.ReadFrom(filepath.Join(dir, lock.FileName), m.Recipe); err != nil {
		return nil, err
	}
	moved, err := r.moved()
	if err != nil {
		return nil, err
	}
	if err := r.borrow(); err != nil {
		return nil, err
	}
	reg, err := elsewhere(o.Registry, m, moved)
	if err != nil {
		return nil, err
	}
	memoDir, storeDir := filepath.Join(dir, "memo"), o.StoreDir
	if storeDir == "" {
		storeDir = filepath.Join(dir, "store")
	}
	if err := r.fill(ctx, storeDir, memoDir); err != nil {
		return nil, err
	}
	memo := flow.UserMemo(memoDir, o.Getenv)
	defer memo.Close() // it was only read
	e := &flow.Engine{Registry: reg, StoreDir: storeDir, MemoDir: memoDir, Getenv: o.Getenv}
	e.Runner = guard{r, local.InProcess{Registry: reg, Services: stage.Services{Memo: memo, Getenv: o.Getenv}}}
	opts := recipe.Options{Profile: m.Profile, WorkDir: dir, LookupEnv: lookup(m.Env)}
	if _, ok := m.entry(paramsName); ok {
		opts.ParamFiles = []string{filepath.Join(dir, paramsName)}
	}
	g, rec, diags := e.Load(filepath.Join(dir, filepath.FromSlash(m.Recipe)), opts)
	if g == nil {
		return nil, &LoadError{diags, rec}
	}
	if diags, err := g.Resolve(ctx); err != nil {
		return nil, err
	} else if diags.HasErrors() {
		return nil, &LoadError{diags, rec}
	}
	for _, n := range g.Nodes {
		n.Stage.Save = "" // it could lead anywhere on this machine
		if err := r.readsOnly(ctx, n, dir); err != nil {
			return nil, err
		}
	}
	r.graph = g
	run := o.Run
	run.Seed, run.Locked, run.Force = &m.Seed, nil, nil
	run.Sink = event.Tee(r.event, o.Run.Sink)
	res, err := e.Run(ctx, g, run)
	if res == nil {
		return nil, err
	}
	list, dev := r.compare(ctx, res.Outcome)
	if dev != nil {
		// What failed for want of an equal input is told by the deviation.
		err = errors.Join(dev, r.otherErrors(res.Outcome, ctx))
	}
	return list, errors.Join(err, res.Close())
}

type replay struct {
	dir   string
	m     *Manifest
	opts  ReplayOptions
	lock  *lock.Recipe
	graph *graph.Graph
	// absent are the files from elsewhere that are neither in the bundle nor here, by
	// URL.
	absent map[string]RemoteFile

	mu       sync.Mutex
	deviates map[string]bool // stages that gave other bytes than the lock has
	hits     map[string]bool // stages whose result was taken from the store
}

// elsewhere gives the stage types with the bundle's places of files. A type whose
// results are all packed takes the platform that they were made on, without which
// their keys would not be found.
func elsewhere(reg *stage.Registry, m *Manifest, moved func(string) string) (*stage.Registry, error) {
	platform := map[string]string{}
	for _, s := range m.Stages {
		if p, seen := platform[s.Type]; !s.Packed || seen && p != s.Platform {
			platform[s.Type] = ""
		} else if !seen {
			platform[s.Type] = s.Platform
		}
	}
	var types []*stage.Type
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		types = append(types, t.Elsewhere(moved, platform[name]))
	}
	return stage.NewRegistry(types...)
}

// fill puts the packed results into the store and the answers into a memo.
func (r *replay) fill(ctx context.Context, storeDir, memoDir string) error {
	st, err := store.Open(storeDir, store.Options{})
	if err != nil {
		return err
	}
	err = r.fillStore(ctx, st)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	if r.m.Answers == 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(r.dir, answersName))
	if err != nil {
		return fmt.Errorf("reading the answers: %w", err)
	}
	defer f.Close()
	memo, err := store.OpenMemo(memoDir, store.MemoOptions{NoSync: true}) // the bundle holds them too
	if err != nil {
		return err
	}
	n, err := loadAnswers(f, memo)
	if err == nil && n != r.m.Answers {
		err = fmt.Errorf("%s holds %d answers, the manifest says %d", answersName, n, r.m.Answers)
	}
	return errors.Join(err, memo.Close())
}

// moved gives the places of files that do not lie where the recipe leads to.
func (r *replay) moved() (func(string) string, error) {
	type move struct{ from, to string }
	var moves []move
	for _, in := range r.m.Inputs {
		here := filepath.Join(r.dir, filepath.FromSlash(in.Dir))
		to := here
		if !in.Packed {
			var err error
			if to, err = r.find(in); err != nil {
				return nil, err
			}
			moves = append(moves, move{here, to})
		}
		if in.Absolute != "" {
			moves = append(moves, move{filepath.FromSlash(in.Absolute), to})
		}
	}
	pins := r.lock.Pins()
	maps.Copy(pins, r.m.Pins)
	return func(p string) string {
		if strings.Contains(p, "://") {
			if exact, ok := pins[p]; ok {
				return exact
			}
			return p
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return p
		}
		for _, m := range moves {
			if rel, err := filepath.Rel(m.from, abs); err == nil && filepath.IsLocal(rel) {
				return filepath.Join(m.to, rel)
			}
		}
		return p
	}, nil
}

// find looks for the files of an input that the bundle leaves out.
func (r *replay) find(in Input) (string, error) {
	var names []string
	for _, f := range in.Files {
		names = append(names, f.Path)
	}
	what := strings.Join(names[:min(len(names), 3)], ", ")
	if len(names) > 3 {
		what += fmt.Sprintf(" and %d more", len(names)-3)
	}
	for _, dir := range r.opts.Inputs {
		missing := false
		for _, f := range in.Files {
			p := filepath.Join(dir, filepath.FromSlash(f.Path))
			info, err := os.Stat(p)
			if err != nil || !info.Mode().IsRegular() {
				missing = true
				break
			}
			d, err := digestOf(p)
			if err != nil {
				return "", fmt.Errorf("reading an input: %w", err)
			}
			if d != f.Digest {
				return "", fmt.Errorf("%s is not the file of the run: it has the digest %s, the run's had %s", p, d, f.Digest)
			}
		}
		if !missing {
			return filepath.Abs(dir)
		}
	}
	return "", fmt.Errorf("the bundle leaves out the input files %s: give the folder that holds them with --inputs", what)
}

// readsOnly makes sure that a stage reads files of the bundle and of the folders
// that the user gave, and none that a path in a stranger's recipe leads to.
func (r *replay) readsOnly(ctx context.Context, n *graph.Node, dir string) error {
	if n.Skip {
		return nil
	}
	ext, err := n.Config.Externals(ctx)
	if err != nil {
		return fmt.Errorf("stage %s: %w", n.Name, err)
	}
	for _, e := range ext {
		abs, err := filepath.Abs(e.Path)
		if err != nil {
			return fmt.Errorf("stage %s: %w", n.Name, err)
		}
		if e.Remote.Cache != "" {
			if err := r.listed(e); err != nil {
				return fmt.Errorf("stage %s: %w", n.Name, err)
			}
		}
		if inside(dir, abs) || slices.ContainsFunc(r.opts.Inputs, func(d string) bool {
			d, err := filepath.Abs(d)
			return err == nil && inside(d, abs)
		}) {
			continue
		}
		return fmt.Errorf("stage %s would read %s, which is not in the bundle", n.Name, abs)
	}
	return nil
}

// event keeps track of what deviates, before the stages that would read it start.
func (r *replay) event(e event.Event) {
	if e.Kind != event.StageDone && e.Kind != event.StageHit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hits[e.Stage] = e.Kind == event.StageHit
	locked := r.lock.Stages[e.Stage]
	if locked == nil || len(e.Outputs) != len(locked.Outputs) {
		r.deviates[e.Stage] = true
		return
	}
	for port, o := range e.Outputs {
		if string(locked.Outputs[port]) != o.Digest {
			r.deviates[e.Stage] = true
		}
	}
}

// inputError keeps a stage from running on an input that the run did not have.
type inputError struct{ from string }

// Error implements error.
func (e *inputError) Error() string { return "did not run: " + e.from + " deviates" }

// Permanent tells that another try cannot mend it; see [exec.Permanent].
func (e *inputError) Permanent() bool { return true }

// guard keeps stages from running that should not.
type guard struct {
	r    *replay
	next exec.Runner
}

// Run implements [exec.Runner].
func (g guard) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	if n := g.r.graph.Node(t.Stage); n != nil {
		g.r.mu.Lock()
		for _, d := range n.Deps() {
			if g.r.deviates[d.Name] {
				g.r.mu.Unlock()
				return stage.Result{}, &inputError{d.Name}
			}
		}
		g.r.mu.Unlock()
		if err := g.r.fetched(ctx, n); err != nil {
			return stage.Result{}, err
		}
	}
	if g.r.opts.Refuse != nil {
		if err := g.r.opts.Refuse(t); err != nil {
			return stage.Result{}, err
		}
	}
	return g.next.Run(ctx, t, h)
}
