// Package exec runs a graph: it takes what is cached from the store, runs what
// is not, several independent stages at a time, and publishes the results.
package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Runner runs one task somewhere: in this process, in another one, on a
// cluster.
type Runner interface {
	Run(ctx context.Context, t stage.Task, hooks Hooks) (stage.Result, error)
}

// Hooks receive what a running stage reports. Any goroutine may call them.
type Hooks struct {
	Progress func(stage.Progress)
	Warn     func(string)
	Placed   func(string)   // another machine has begun with the task: where, and where its log is
	Control  *stage.Control // steers the stage; nil: nobody does
	Store    *store.Store   // holds the task's inputs, for a runner that brings them elsewhere
}

// Saver writes a stage's outputs where the recipe's save: wants them and says
// where each port's went.
type Saver func(n *graph.Node, outputs map[string]store.Output) (places map[string]string, err error)

// Cache is a place beside the store where others look for results. What goes wrong
// there is its own affair.
type Cache interface {
	// Take brings a complete result into the store; nil if there is none.
	Take(ctx context.Context, st *store.Store, key string) *store.Action
	// Publish shares a result of the store. It may go on when it has returned.
	Publish(ctx context.Context, st *store.Store, a *store.Action)
}

// Options adjust a run.
type Options struct {
	RunID    string
	RecipeID string // names the recipe in the store's pointers
	Seed     uint64
	Jobs     int // stages at a time; at least 1
	Force    map[string]bool
	Replace  map[string]bool // stages whose new result takes the place of the one in force
	Limits   Limits          // what the stages running at a time may declare together
	// Devices are the GPUs to share out: a stage that runs and declares gpus gets
	// that many of its own, see [stage.Env]. If there are fewer than the limit
	// says, a stage may get none.
	Devices []string
	// Executors says which stages run elsewhere than with the run's Runner.
	Executors Executors
	Sink      event.Sink
	Save      Saver
	// Cache has results that others made, and gets those that are made here; nil: none.
	Cache Cache
	// Only reports whether a stage may run. One that may not is taken from the cache
	// or deferred, with all that depends on it. Nil lets all run.
	Only func(n *graph.Node) bool
	// Permit may refuse to run a stage whose result is not cached. Nil refuses none.
	Permit func(n *graph.Node) error
	// Check may refuse a stage. It is called when the preimage is known, with nil
	// outputs, and again with the outputs. Nil refuses none.
	Check func(ctx context.Context, n *graph.Node, preimage json.RawMessage, outputs map[string]store.Output) error
	// Control steers the run: while it is paused no stage starts. Nil: nobody does.
	Control *stage.Control
	// RetryPause is the pause before a failed stage's second try; it doubles with
	// each further try, up to a minute. 0 means a second.
	RetryPause time.Duration
	Now        func() time.Time
}

// StageError is a stage that failed.
type StageError struct {
	Stage string
	Err   error
}

// Error implements error.
func (e *StageError) Error() string { return fmt.Sprintf("stage %s: %v", e.Stage, e.Err) }

// Unwrap gives the cause.
func (e *StageError) Unwrap() error { return e.Err }

// State is how a stage ended.
type State string

// The states.
const (
	Cached   State = "cached"
	Done     State = "done"
	Failed   State = "failed"
	Skipped  State = "skipped"
	Blocked  State = "blocked"  // something upstream failed
	Deferred State = "deferred" // not among those that may run, or behind one
	Stopped  State = "stopped"  // interrupted, or never started because of it
)

// Outcome is what became of each stage.
type Outcome struct {
	States     map[string]State
	Outputs    map[string]map[string]store.Output // stage -> port -> output
	Errors     []error                            // one *StageError for each failed stage
	Preimages  map[string]json.RawMessage         // stage -> what its key is the hash of; shared, do not change
	Incomplete map[string]bool                    // stages whose outputs are usable, but not final
}

// Run executes a graph. A failing stage stops those that depend on it and no
// others; their errors are in the outcome. The error is set only when the run
// as a whole could not go on: an interrupt (it wraps ctx.Err()) or a store that
// cannot be used. The outcome is never nil.
func Run(ctx context.Context, g *graph.Graph, st *store.Store, r Runner, opts Options) (*Outcome, error) {
	if opts.Jobs < 1 {
		opts.Jobs = 1
	}
	if opts.Sink == nil {
		opts.Sink = func(event.Event) {}
	}
	if opts.RetryPause <= 0 {
		opts.RetryPause = time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	out := &Outcome{
		States: make(map[string]State, len(g.Nodes)), Outputs: make(map[string]map[string]store.Output, len(g.Nodes)),
		Preimages: make(map[string]json.RawMessage, len(g.Nodes)), Incomplete: map[string]bool{},
	}
	last, err := st.LastAll(opts.RecipeID)
	if err != nil {
		return out, fmt.Errorf("reading what ran last: %w", err)
	}
	s := &scheduler{
		g: g, store: st, runner: r, opts: opts,
		planOpts: plan.Options{Seed: opts.Seed, Last: last, Force: opts.Force},
		out:      out,
		outputs:  make([]map[string]store.Output, len(g.Nodes)),
		devices:  devices{free: slices.Clone(opts.Devices)},
		ready:    newQueue(opts.Limits),
		turns:    make(chan func()),
	}
	if opts.Cache != nil {
		s.planOpts.Remote = func(ctx context.Context, key string) *store.Action { return opts.Cache.Take(ctx, st, key) }
	}
	var staging string
	s.staging = sync.OnceValues(func() (string, error) {
		var err error
		staging, err = st.TempDir()
		return staging, err
	})
	err = s.run(ctx)
	if staging != "" {
		_ = os.RemoveAll(staging) // swept later if this fails
	}
	return out, err
}

type scheduler struct {
	g        *graph.Graph
	store    *store.Store
	runner   Runner
	opts     Options
	planOpts plan.Options
	staging  func() (string, error) // the run's staging folder, made for the first task
	tasks    atomic.Int64

	out *Outcome // owned by the loop
	// outputs are those of the finished nodes, by index. The loop writes them before
	// it starts a node that depends on them.
	outputs []map[string]store.Output
	devices devices

	ready   *queue      // owned by the loop, as running is
	running int         // work that holds a slot
	turns   chan func() // what the loop does for nodes that run
}

// finished is what a worker reports about one node.
type finished struct {
	n          *graph.Node
	key        string // "" if it was not reached
	state      State
	outputs    map[string]store.Output
	pointer    *store.Pointer     // what to remember for later plans
	preimage   json.RawMessage    // of its key; nil if it was not reached
	incomplete bool               // its outputs are usable, but not final
	stats      map[string]float64 // of the last try, if it ran, with what earlier ones spent
	err        error
}

// run is the scheduling loop. It alone changes the outcome.
func (s *scheduler) run(ctx context.Context) error {
	nodes := s.g.Nodes
	missing := make([]int, len(nodes)) // dependencies not finished yet
	dependents := make([][]*graph.Node, len(nodes))
	for i, n := range nodes {
		deps := n.Deps()
		missing[i] = len(deps)
		for _, d := range deps {
			dependents[d.Index()] = append(dependents[d.Index()], n)
		}
	}
	done := make(chan finished)
	var workers parallel.Group
	left := len(nodes)
	var settled []finished // nodes that needed no worker
	cached := plan.Hits(ctx, s.g, known{s.store}, s.planOpts)
	start := func(n *graph.Node) {
		f, ok := s.settle(n)
		if !ok {
			f, ok = s.hit(ctx, &cached.Steps[n.Index()])
		}
		if ok {
			settled = append(settled, f)
			return
		}
		begin := func() {
			workers.Go(func() error { done <- s.node(ctx, n); return nil })
		}
		if s.elsewhere(n) {
			begin()
			return
		}
		s.ready.push(work{n, begin})
	}
	for i, n := range nodes {
		if missing[i] == 0 {
			start(n)
		}
	}
	var lost error // the first; a run is as good without what it notes for later plans
	for left > 0 {
		for s.running < s.opts.Jobs {
			w, ok := s.ready.next()
			if !ok {
				break
			}
			s.running++
			w.start()
		}
		var f finished
		if len(settled) > 0 {
			f, settled = settled[0], settled[1:]
		} else {
			select {
			case f = <-done:
				if !s.elsewhere(f.n) {
					s.ready.release(f.n)
					s.running--
				}
			case turn := <-s.turns:
				turn()
				continue
			}
		}
		left--
		s.finish(f)
		if f.pointer != nil {
			// At once: a run that is killed has not run in vain, and the next plan
			// must not call its stages never run. A store that must not be written
			// is good for what is cached.
			err := s.store.SetLast(s.opts.RecipeID, f.n.Name, *f.pointer)
			if lost == nil && !errors.Is(err, store.ErrReadOnly) {
				lost = err
			}
		}
		for _, d := range dependents[f.n.Index()] {
			if missing[d.Index()]--; missing[d.Index()] == 0 {
				start(d)
			}
		}
	}
	err := errors.Join(workers.Wait(), lost)
	if ctx.Err() != nil {
		for _, st := range s.out.States {
			if st == Stopped {
				return errors.Join(fmt.Errorf("stopped (%w): run again to go on from here", context.Cause(ctx)), err)
			}
		}
	}
	return err
}

// elsewhere reports whether another machine runs a node. One whose executor is not
// known fails when it is to run.
func (s *scheduler) elsewhere(n *graph.Node) bool {
	r, err := s.opts.Executors.Elsewhere(n)
	return r != nil && err == nil
}

// settle decides nodes that neither run nor are looked up: skipped ones and those
// behind a failure or a deferred one.
func (s *scheduler) settle(n *graph.Node) (finished, bool) {
	if r, skip := plan.Skipped(n, func(d *graph.Node) bool { return s.out.States[d.Name] == Skipped }); skip {
		s.emit(event.Event{Kind: event.StageSkipped, Stage: n.Name, Type: n.Type.Type, Reason: r.String()})
		return finished{n: n, state: Skipped}, true
	}
	for _, d := range n.Deps() {
		switch s.out.States[d.Name] {
		case Failed, Blocked:
			s.emit(event.Event{Kind: event.StageSkipped, Stage: n.Name, Type: n.Type.Type,
				Reason: plan.Reason{Code: plan.UpstreamFailed, Field: d.Name}.String()})
			return finished{n: n, state: Blocked}, true
		case Deferred:
			return finished{n: n, state: Deferred}, true
		}
	}
	return finished{}, false
}

func (s *scheduler) finish(f finished) {
	s.out.States[f.n.Name] = f.state
	if f.preimage != nil {
		s.out.Preimages[f.n.Name] = f.preimage
	}
	if f.incomplete {
		s.out.Incomplete[f.n.Name] = true
	}
	if f.outputs != nil {
		s.out.Outputs[f.n.Name] = f.outputs
		s.outputs[f.n.Index()] = f.outputs
	}
	if f.err != nil {
		s.out.Errors = append(s.out.Errors, &StageError{Stage: f.n.Name, Err: f.err})
	}
}

func (s *scheduler) emit(e event.Event) {
	e.Time, e.Run = s.opts.Now(), s.opts.RunID
	s.opts.Sink(e)
}

// digest is the [plan.Digests] of the nodes that have finished.
func (s *scheduler) digest(src graph.Source) (store.Digest, bool) {
	o, ok := s.outputs[src.Node.Index()][src.Port.Name]
	return o.Digest, ok
}

func eventOutputs(outs map[string]store.Output) map[string]event.Output {
	m := make(map[string]event.Output, len(outs))
	for port, o := range outs {
		m[port] = event.Output{Digest: string(o.Digest), Rows: o.Rows, Bytes: o.Bytes}
	}
	return m
}
