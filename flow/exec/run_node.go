package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// maxTries is how often a stage runs at most because a file that it reads changed
// meanwhile.
const maxTries = 3

// errDeferred ends a node that may not run; see [Options.Only].
var errDeferred = errors.New("deferred")

// node brings one node to its result, from the cache or by running it, and its
// files to where save: wants them.
func (s *scheduler) node(ctx context.Context, n *graph.Node) finished {
	f := finished{n: n}
	// Stages recover by themselves. This is for what surrounds them, such as a
	// config's Externals or the layout of save:.
	err := parallel.Call(func() error { return s.bring(ctx, n, &f) })
	switch {
	case errors.Is(err, errDeferred):
		f.state = Deferred
	case err != nil:
		return s.failed(ctx, f, err)
	}
	return f
}

func (s *scheduler) bring(ctx context.Context, n *graph.Node, f *finished) error {
	// After an interrupt nothing starts: neither what was queued nor what depends
	// on a stage that was stopped, and so has no outputs to read.
	if ctx.Err() != nil {
		f.state = Stopped
		return nil
	}
	for try := 1; ; try++ {
		step, err := s.result(ctx, n, f)
		var changed *changedError
		if errors.As(err, &changed) && try < maxTries && ctx.Err() == nil {
			s.warn(n, changed.what+" while the stage ran; its result is thrown away and it runs again")
			continue
		}
		if err != nil {
			return err
		}
		if err := s.conclude(ctx, step, f); err != nil {
			return err
		}
		break
	}
	if n.Stage.Save != "" && s.opts.Save != nil {
		if err := s.save(n, f.outputs); err != nil {
			return fmt.Errorf("save: %w", err)
		}
	}
	return nil
}

// result finds the node's result in the cache or makes it.
func (s *scheduler) result(ctx context.Context, n *graph.Node, f *finished) (plan.Step, error) {
	// Before the files are hashed, so that any later change shows.
	files, err := outside(ctx, n)
	if err != nil {
		return plan.Step{}, err
	}
	step, err := plan.Evaluate(ctx, n, s.digest, s.store, s.planOpts)
	if err != nil {
		return step, err
	}
	f.key = step.Key
	if s.opts.Check != nil {
		if err := s.opts.Check(ctx, n, step.Canonical, nil); err != nil {
			return step, err
		}
	}
	if step.Status == plan.Run && s.opts.Only != nil && !s.opts.Only(n) {
		return step, errDeferred
	}
	if step.Status == plan.Run {
		unlock, err := s.store.LockKey(ctx, step.Key, func(h store.Holder) { s.waiting(n, step.Key, h) })
		if err != nil {
			return step, err
		}
		defer unlock()
		// Another process may have finished the same work while we waited.
		if step, err = plan.Lookup(n, step, s.store, s.planOpts); err != nil {
			return step, err
		}
	}
	if step.Status == plan.Hit {
		s.cached(step, f)
		return step, nil
	}
	f.outputs, f.incomplete, err = s.execute(ctx, n, step, files, f)
	f.state = Done
	return step, err
}

// waiting tells that somebody else makes a node's result at this moment.
func (s *scheduler) waiting(n *graph.Node, key string, h store.Holder) {
	who := "another process has been making the same result"
	host, _ := os.Hostname()
	switch {
	case h.PID == 0:
	case h.PID == os.Getpid() && h.Host == host:
		who = "another stage of this process has been making the same result"
	case h.Host == host:
		who = fmt.Sprintf("process %d has been making the same result", h.PID)
	default:
		who = fmt.Sprintf("process %d on %s has been making the same result", h.PID, h.Host)
	}
	if !h.Since.IsZero() {
		who += " since " + h.Since.Local().Format(time.DateTime)
	}
	s.emit(event.Event{Kind: event.StageWaiting, Stage: n.Name, Type: n.Type.Type, Key: key, Message: who})
}

func (s *scheduler) save(n *graph.Node, outputs map[string]store.Output) error {
	places, err := s.opts.Save(n, outputs)
	if err != nil {
		return err
	}
	outs := eventOutputs(outputs)
	for port := range outs {
		o := outs[port]
		if o.Path = places[port]; o.Path == "" {
			delete(outs, port)
			continue
		}
		outs[port] = o
	}
	s.emit(event.Event{Kind: event.StageSaved, Stage: n.Name, Type: n.Type.Type, Outputs: outs})
	return nil
}

// failed ends a node. After an interrupt any error counts as its consequence: a
// killed child process, for one, does not say why it ended.
func (s *scheduler) failed(ctx context.Context, f finished, err error) finished {
	f.outputs = nil
	e := event.Event{Kind: event.StageFailed, Stage: f.n.Name, Type: f.n.Type.Type, Key: f.key, Error: err.Error(), Values: f.stats}
	if ctx.Err() != nil {
		f.state, e.Kind = Stopped, event.StageStopped
	} else {
		f.state, f.err = Failed, err
	}
	s.emit(e)
	return f
}

func (s *scheduler) warn(n *graph.Node, message string) {
	s.emit(event.Event{Kind: event.StageWarning, Stage: n.Name, Type: n.Type.Type, Message: message})
}

// execute runs the stage into the staging folder and publishes what it made. What it
// counted is in f also when it failed.
func (s *scheduler) execute(ctx context.Context, n *graph.Node, step plan.Step, files []outsideFile, f *finished) (outs map[string]store.Output, incomplete bool, err error) {
	away := s.elsewhere(n)
	if !away {
		if err := s.opts.Limits.Check(n); err != nil {
			return nil, false, err
		}
	}
	if s.opts.Permit != nil {
		if err := s.opts.Permit(n); err != nil {
			return nil, false, err
		}
	}
	if err := s.opts.Control.Hold(ctx); err != nil {
		return nil, false, err
	}
	task, err := s.task(n, step.Key)
	if err != nil {
		return nil, false, err
	}
	if !away {
		task.GPUs = s.devices.take(n.Stage.Resources.GPUs)
		defer s.devices.give(task.GPUs)
	}
	published := false
	defer func() { discard(n, task, published) }()
	started := s.opts.Now()
	s.emit(event.Event{Kind: event.StageStarted, Stage: n.Name, Type: n.Type.Type, Key: step.Key, Reason: step.Reason.String()})
	before := f.stats // of a run whose result was thrown away
	res, err := s.perform(ctx, n, task, files, f)
	f.stats = addSpending(f.stats, before)
	if err != nil {
		return nil, false, err
	}
	if err := s.checkOutside(ctx, n, step.Key, files); err != nil {
		return nil, false, err
	}
	a := &store.Action{
		Key: step.Key, Stage: n.Name, Type: n.Type.Type, Version: n.Type.Version,
		Preimage: step.Canonical, Incomplete: res.Incomplete != "", Outputs: map[string]store.Output{},
		Meta: store.Meta{Started: started, Seconds: s.opts.Now().Sub(started).Seconds(), Stats: res.Stats},
	}
	if err := s.publish(ctx, n, task, res, a); err != nil {
		return nil, false, fmt.Errorf("publishing: %w", err)
	}
	published = true
	setAside := res.Incomplete != "" && !a.Incomplete
	if !setAside || !s.opts.Replace[n.Name] { // a refresh that is not done goes on in its folder
		if err := s.store.RemoveWork(step.Key); err != nil {
			s.warn(n, "its scratch folder could not be removed: "+err.Error())
		}
	}
	switch {
	case setAside:
		s.warn(n, "incomplete: "+res.Incomplete+"; the earlier complete result stays in force; give the same flags again to ask for what is missing")
	case res.Incomplete != "":
		s.warn(n, "incomplete: "+res.Incomplete+"; the next run asks again for what is missing")
	}
	s.emit(event.Event{Kind: event.StageDone, Stage: n.Name, Type: n.Type.Type, Key: step.Key,
		Outputs: eventOutputs(a.Outputs), Seconds: a.Meta.Seconds, Values: f.stats})
	return a.Outputs, a.Incomplete, nil
}

// discard removes what a task left in the staging folder. Publishing moves the
// files of row outputs away, but of a folder the empty tree remains.
func discard(n *graph.Node, task stage.Task, published bool) {
	for _, p := range n.Type.Outputs {
		if !published || p.Kind == stage.DirPort {
			// A leftover is removed with the staging folder, or swept later.
			_ = os.RemoveAll(task.Outputs[p.Name])
		}
	}
}

// recipeName is a recipe's file name and its folder's.
func recipeName(id string) string {
	if id == "" {
		return ""
	}
	return path.Join(path.Base(path.Dir(filepath.ToSlash(id))), path.Base(filepath.ToSlash(id)))
}

func (s *scheduler) task(n *graph.Node, key string) (stage.Task, error) {
	t := stage.Task{
		Stage: n.Name, Type: n.Type.Type, Version: n.Type.Version,
		Key: key, Recipe: recipeName(s.opts.RecipeID), Inputs: map[string][]stage.Input{}, Outputs: map[string]string{},
	}
	var err error
	if t.Config, err = n.Config.JSON(); err != nil {
		return t, err
	}
	if n.Type.Class.UsesSeed() {
		t.Seed = plan.StageSeed(s.opts.Seed, n.Type.Type, n.Stage.Stream)
	}
	if t.WorkDir, err = s.workDir(n, key); err != nil {
		return t, err
	}
	staging, err := s.staging()
	if err != nil {
		return t, err
	}
	// One staging folder serves the run; a number keeps the tasks apart.
	prefix := strconv.FormatInt(s.tasks.Add(1), 10) + "-"
	for _, in := range n.Inputs {
		for _, src := range in.Sources {
			d, ok := s.digest(src)
			if !ok {
				continue // a skipped source of an optional or list input
			}
			path, err := s.open(src.Port, d)
			if err != nil {
				return t, fmt.Errorf("input %s: %w", src.Label(), err)
			}
			t.Inputs[in.Port.Name] = append(t.Inputs[in.Port.Name], stage.Input{Path: path, Label: src.Label(), Digest: string(d), Folder: src.Port.Kind == stage.DirPort})
		}
	}
	for _, p := range n.Type.Outputs {
		name := prefix + p.Name
		if p.Kind == stage.RowsPort {
			name += ".jsonl"
		}
		t.Outputs[p.Name] = filepath.Join(staging, name)
	}
	return t, nil
}

// workDir is the scratch folder of a key. Pure stages seldom need one, so for them
// it is not made; see [stage.Env].
func (s *scheduler) workDir(n *graph.Node, key string) (string, error) {
	if n.Type.Class == stage.Pure {
		return filepath.Join(s.store.Dir(), "work", key), nil
	}
	return s.store.WorkDir(key)
}

func (s *scheduler) open(p stage.Port, d store.Digest) (string, error) {
	if p.Kind == stage.DirPort {
		return s.store.VerifiedTree(d)
	}
	return s.store.VerifiedPath(d)
}

// publish puts the outputs into the store and then the action that names them.
// What cost money or hours is synced to disk first.
func (s *scheduler) publish(ctx context.Context, n *graph.Node, task stage.Task, res stage.Result, a *store.Action) error {
	dur := store.Relaxed
	if c := n.Type.Class; c == stage.Sampled || c == stage.Volatile {
		dur = store.Durable
	}
	for _, p := range n.Type.Outputs {
		o := store.Output{Kind: store.OutputKind(p.Kind), Rows: res.Rows[p.Name]}
		var err error
		if p.Kind == stage.DirPort {
			o.Digest, o.Bytes, err = s.store.PutTree(task.Outputs[p.Name], dur)
		} else {
			o.Digest, o.Bytes, err = s.store.PutFile(task.Outputs[p.Name], dur)
		}
		if err != nil {
			return fmt.Errorf("output %s: %w", p.Name, err)
		}
		a.Outputs[p.Name] = o
	}
	putAction := s.store.PutAction
	if s.opts.Replace[n.Name] {
		putAction = s.store.ReplaceAction
	}
	put, err := putAction(a, dur)
	if err != nil {
		return err
	}
	if put.Conflict {
		s.emit(event.Event{Kind: event.StageWarning, Stage: n.Name, Type: n.Type.Type, Key: a.Key,
			Message: "gave another result than before for the same inputs; the first one stays in force, this one is kept beside it"})
	}
	a.Outputs, a.Incomplete = put.Pinned.Outputs, put.Pinned.Incomplete
	if s.opts.Cache != nil {
		s.opts.Cache.Publish(ctx, s.store, put.Pinned)
	}
	return nil
}
