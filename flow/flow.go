// Package flow is the engine's front door: load a recipe, plan it, run it.
package flow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// DefaultSeed is the seed of recipes that name none.
const DefaultSeed = 42

// Engine runs recipes. Only Registry is required.
type Engine struct {
	Registry *stage.Registry
	StoreDir string              // "" means .distillflow beside the recipe
	MemoDir  string              // where paid answers are kept; "" means the user's data folder
	Getenv   func(string) string // nil is os.Getenv
	Layouts  map[string]Layout   // record type -> how save: writes it
	Fault    func(point string)  // for crash tests; see store.Options
	Now      func() time.Time    // the clock, for crash tests; nil is time.Now
	Runner   exec.Runner         // nil runs stages in this process
	// Executors says which stages run elsewhere than with Runner.
	Executors exec.Executors
	Program   string // version of the program, for the record of a run
	// Cache shares results and paid answers with other machines; nil: with none.
	Cache *remote.Cache
}

// Load reads and binds a recipe. The graph is nil if the list holds an error;
// the recipe is never nil, and its Sources serve to render the list.
func (e *Engine) Load(path string, opts recipe.Options) (*graph.Graph, *recipe.Recipe, diag.List) {
	r, diags := recipe.Load(path, opts)
	if diags.HasErrors() && len(r.Stages) == 0 {
		return nil, r, diags
	}
	// The binder looks even at a recipe with errors, so that all of them show
	// at once.
	g, more := graph.Build(r, e.Registry)
	diags.Add(more...)
	diags.Add(noSecrets(r, g)...)
	diags.Sort()
	if diags.HasErrors() {
		return nil, r, diags
	}
	return g, r, diags
}

// RunOptions adjust a plan or a run.
type RunOptions struct {
	Seed  *uint64         // nil takes the recipe's
	Jobs  int             // stages at a time; 0 means one a core
	Force map[string]bool // stages to run even if they are cached
	// Replace names stages of Force whose new result takes the place of the one in
	// force. Without it another result for the same key is kept beside the first.
	Replace map[string]bool
	Sink    event.Sink

	// OnlyErrors asks again for what earlier runs got no answer to, and for nothing else:
	// only stages whose last result lacks answers run, and what depends on them.
	OnlyErrors bool
	// Limits is what the stages running at a time may declare together.
	Limits exec.Limits
	// Locked is what the run must not deviate from; nil for anything goes. A run
	// that does gives a *[lock.DeviationError], before anything has run where it
	// can be known.
	Locked *lock.Recipe
	// PermitRun and PermitSave may refuse to run a stage, and to write its files to where
	// save: wants them, for what these do outside the store; see [stage.Reach]. Nil
	// refuses none.
	PermitRun, PermitSave func(*graph.Node) error
	// RetryPause is the rest before a failed stage's second try; 0 is a second.
	RetryPause time.Duration
}

func (o RunOptions) seed(g *graph.Graph) uint64 {
	switch {
	case o.Seed != nil:
		return *o.Seed
	case g.Recipe.HasSeed:
		return g.Recipe.Seed
	}
	return DefaultSeed
}

// Plan tells what Run would do. It changes nothing but the store's memory of
// file hashes.
func (e *Engine) Plan(ctx context.Context, g *graph.Graph, o RunOptions) (*plan.Plan, error) {
	dir, err := e.storeDir(g)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(dir)
	st, err := store.Open(dir, store.Options{ReadOnly: errors.Is(err, os.ErrNotExist)})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return e.plan(ctx, g, st, o)
}

// Result is what a run left.
type Result struct {
	ID       string
	Outcome  *exec.Outcome
	StoreDir string
	Seconds  float64
	store    *store.Store
	graph    *graph.Graph
	seed     uint64
}

// Output gives the file or folder of a stage's output, or "" if there is none.
// It is valid until the store is collected.
func (r *Result) Output(stageName, port string) string {
	o, ok := r.Outcome.Outputs[stageName][port]
	if !ok {
		return ""
	}
	var path string
	var err error
	if o.Kind == store.KindDir {
		path, err = r.store.VerifiedTree(o.Digest)
	} else {
		path, err = r.store.VerifiedPath(o.Digest)
	}
	if err != nil {
		return ""
	}
	return path
}

// Close gives the store back. Call it when Output is no longer needed.
func (r *Result) Close() error { return r.store.Close() }

// Run executes a graph. Stage failures come back as a *multierror.Error of
// *[exec.StageError]; an interrupt as an error that wraps ctx.Err(), or [ErrStopped] if
// it came by a command. The result is nil if nothing could be started: the store could not be opened, or the run
// was refused; otherwise close it.
func (e *Engine) Run(ctx context.Context, g *graph.Graph, o RunOptions) (*Result, error) {
	start := time.Now()
	known := e.secretsOf(g)
	sink := hidden(known, event.Tee(o.Sink))
	dir, err := e.storeDir(g)
	if err != nil {
		return nil, err
	}
	warn := func(w store.Warning) {
		sink(event.Event{Time: time.Now(), Kind: event.StageWarning, Message: w.String()})
	}
	st, err := store.Open(dir, store.Options{Fault: e.Fault, Now: e.Now, Warn: warn})
	if err != nil {
		return nil, err
	}
	if err := e.admit(ctx, g, st, o); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	var only func(*graph.Node) bool
	if o.OnlyErrors {
		if only, err = e.onlyErrors(ctx, g, st, o); err != nil {
			return nil, errors.Join(err, st.Close())
		}
	}
	data, err := runData(ctx, g, o.seed(g), o.Locked)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	gpus := devices(o.Limits, e.getenv())
	history, err := newHistorian(st, store.RunInfo{Recipe: g.Recipe.File, RecipeID: recipeID(g), Data: data}, e.runRecipe(g, o.Locked != nil, gpus), sink)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	memo := UserMemo(e.MemoDir, e.getenv()).Share(e.Cache)
	memo.opts = store.MemoOptions{Fault: e.Fault, Now: e.Now, Warn: warn}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	control := newController(history, g, stop)
	runner := e.Runner
	if runner == nil {
		runner = local.InProcess{Registry: e.Registry, Services: stage.Services{Memo: memo, Getenv: e.getenv(), Fault: e.Fault, Shared: &stage.Shared{}}}
	}
	if o.Jobs < 1 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	sink = hidden(known, event.Tee(o.Sink, history.event, control.event))
	sink(event.Event{Time: start, Kind: event.RunStarted, Run: history.id, Total: int64(len(g.Nodes)), Message: g.Recipe.File})
	opts := exec.Options{
		RunID: history.id, RecipeID: recipeID(g), Seed: o.seed(g), Jobs: o.Jobs, Force: o.Force, Replace: o.Replace,
		Limits: o.Limits, Devices: gpus, RetryPause: o.RetryPause, Executors: e.Executors, Sink: sink, Save: permitted(e.saver(st), o.PermitSave),
		Control: control.control, Only: only, Permit: o.PermitRun, Cache: e.cache(), Now: e.Now,
	}
	if e.Cache != nil {
		e.Cache.Tell(func(message string) {
			sink(event.Event{Time: time.Now(), Kind: event.StageWarning, Message: message})
		})
	}
	if o.Locked != nil {
		opts.Check = o.Locked.CheckStage
	}
	unwatch := control.watch(sink)
	out, err := exec.Run(ctx, g, st, runner, opts)
	e.uploaded(sink)
	err = errors.Join(err, unwatch())
	for _, n := range g.Nodes {
		if out.States[n.Name] == exec.Deferred {
			sink(event.Event{Time: time.Now(), Kind: event.StageSkipped, Run: history.id, Stage: n.Name, Type: n.Type.Type, Reason: "no answer of it failed, and only those are asked for again"})
		}
	}
	res := &Result{ID: history.id, Outcome: out, StoreDir: st.Dir(), store: st, graph: g, seed: o.seed(g)}
	if len(out.Errors) > 0 {
		err = errors.Join(err, multierror.Append(nil, out.Errors...))
	}
	res.Seconds = time.Since(start).Seconds()
	done := event.Event{Time: time.Now(), Kind: event.RunDone, Run: history.id, Seconds: res.Seconds}
	status := "done"
	if err != nil {
		done.Error, status = err.Error(), "failed"
		if ctx.Err() != nil {
			status = "interrupted"
		}
	}
	sink(done)
	return res, errors.Join(err, history.finish(status), memo.Close())
}

// cache is the engine's cache as the scheduler wants it.
func (e *Engine) cache() exec.Cache {
	if e.Cache == nil {
		return nil
	}
	return e.Cache
}

// find looks into the cache for what the store does not have; see [plan.Options].
func (e *Engine) find() func(context.Context, string) *store.Action {
	if e.Cache == nil {
		return nil
	}
	return e.Cache.Find
}

// uploaded returns when the cache has what the run made, and says so if that takes long.
func (e *Engine) uploaded(sink event.Sink) {
	if e.Cache == nil {
		return
	}
	t := time.AfterFunc(time.Second, func() {
		sink(event.Event{Time: time.Now(), Kind: event.StageWarning, Message: "adding results to the cache; Ctrl-C ends the run without"})
	})
	defer t.Stop()
	e.Cache.Wait()
}

// storeDir is absolute, because stages get paths in it and may run elsewhere.
func (e *Engine) storeDir(g *graph.Graph) (string, error) {
	dir := e.StoreDir
	if dir == "" {
		dir = filepath.Join(g.Recipe.Dir, ".distillflow")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the store: %w", err)
	}
	return abs, nil
}

func (e *Engine) getenv() func(string) string {
	if e.Getenv != nil {
		return e.Getenv
	}
	return os.Getenv
}

// recipeID names a recipe in the store's memory of what ran last.
func recipeID(g *graph.Graph) string {
	abs, err := filepath.Abs(g.Recipe.File)
	if err != nil {
		return g.Recipe.File
	}
	return abs
}
