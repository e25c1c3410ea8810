package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// node brings one node to its result: from the cache or by running it.
func (s *scheduler) node(ctx context.Context, n *graph.Node) finished {
	f := finished{n: n}
	digests := s.inputs(n)
	step, err := plan.Evaluate(ctx, n, digests, s.store, s.planOpts)
	if err != nil {
		return s.failed(ctx, f, step, err)
	}
	if step.Status == plan.Run {
		unlock, err := s.store.LockKey(ctx, step.Key)
		if err != nil {
			return s.failed(ctx, f, step, err)
		}
		defer unlock()
		// Another process may have finished the same work while we waited.
		if !s.opts.Force[n.Name] {
			again, err := plan.Evaluate(ctx, n, digests, s.store, s.planOpts)
			if err == nil && again.Status == plan.Hit {
				step = again
			}
		}
	}
	if step.Status == plan.Hit {
		s.emit(event.Event{Kind: event.StageHit, Stage: n.Name, Type: n.Type.Type, Key: step.Key,
			Reason: step.Reason.String(), Outputs: eventOutputs(step.Outputs)})
		f.state, f.outputs = Cached, step.Outputs
	} else if f.outputs, err = s.execute(ctx, n, step, digests); err != nil {
		return s.failed(ctx, f, step, err)
	} else {
		f.state = Done
	}
	if ptr, ok := s.planOpts.Last[n.Name]; !ok || ptr.Key != step.Key {
		f.pointer = &store.Pointer{Key: step.Key, Preimage: step.Canonical}
	}
	if n.Stage.Save != "" && s.opts.Save != nil {
		places, err := s.opts.Save(n, f.outputs)
		if err != nil {
			return s.failed(ctx, f, step, fmt.Errorf("save: %w", err))
		}
		outs := eventOutputs(f.outputs)
		for port := range outs {
			o := outs[port]
			if o.Path = places[port]; o.Path == "" {
				delete(outs, port)
				continue
			}
			outs[port] = o
		}
		s.emit(event.Event{Kind: event.StageSaved, Stage: n.Name, Type: n.Type.Type, Outputs: outs})
	}
	return f
}

func (s *scheduler) failed(ctx context.Context, f finished, step plan.Step, err error) finished {
	f.outputs = nil
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		f.state = Stopped
		return f
	}
	f.state, f.err = Failed, err
	s.emit(event.Event{Kind: event.StageFailed, Stage: f.n.Name, Type: f.n.Type.Type, Key: step.Key, Error: err.Error()})
	return f
}

// execute runs the stage into a staging folder and publishes what it made.
func (s *scheduler) execute(ctx context.Context, n *graph.Node, step plan.Step, digests map[graph.Source]store.Digest) (map[string]store.Output, error) {
	staging, err := s.store.TempDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(staging)
	task, err := s.task(n, step.Key, staging, digests)
	if err != nil {
		return nil, err
	}
	started := s.opts.Now()
	s.emit(event.Event{Kind: event.StageStarted, Stage: n.Name, Type: n.Type.Type, Key: step.Key, Reason: step.Reason.String()})
	res, err := s.runner.Run(ctx, task, Hooks{
		Progress: func(p stage.Progress) {
			s.emit(event.Event{Kind: event.StageProgress, Stage: n.Name, Type: n.Type.Type, Done: p.Done,
				Total: p.Total, Unit: p.Unit, Values: p.Values, Message: p.Message})
		},
		Warn: func(m string) {
			s.emit(event.Event{Kind: event.StageWarning, Stage: n.Name, Type: n.Type.Type, Message: m})
		},
	})
	if err != nil {
		return nil, err
	}
	a := &store.Action{
		Key: step.Key, Stage: n.Name, Type: n.Type.Type, Version: n.Type.Version,
		Preimage: step.Canonical, Incomplete: res.Incomplete != "", Outputs: map[string]store.Output{},
		Meta: store.Meta{Started: started, Seconds: s.opts.Now().Sub(started).Seconds(), Stats: res.Stats},
	}
	if err := s.publish(n, task, res, a); err != nil {
		return nil, fmt.Errorf("publishing: %w", err)
	}
	if err := s.store.RemoveWork(step.Key); err != nil {
		return nil, err
	}
	if res.Incomplete != "" {
		s.emit(event.Event{Kind: event.StageWarning, Stage: n.Name, Type: n.Type.Type,
			Message: "incomplete: " + res.Incomplete + "; the next run asks again for what is missing"})
	}
	s.emit(event.Event{Kind: event.StageDone, Stage: n.Name, Type: n.Type.Type, Key: step.Key,
		Outputs: eventOutputs(a.Outputs), Seconds: a.Meta.Seconds, Values: res.Stats})
	return a.Outputs, nil
}

func (s *scheduler) task(n *graph.Node, key, staging string, digests map[graph.Source]store.Digest) (stage.Task, error) {
	t := stage.Task{
		Stage: n.Name, Type: n.Type.Type, Version: n.Type.Version,
		Inputs: map[string][]stage.Input{}, Outputs: map[string]string{},
	}
	var err error
	if t.Config, err = n.Config.JSON(); err != nil {
		return t, err
	}
	if n.Type.Class.UsesSeed() {
		t.Seed = plan.StageSeed(s.opts.Seed, n.Type.Type)
	}
	if t.WorkDir, err = s.store.WorkDir(key); err != nil {
		return t, err
	}
	for _, in := range n.Inputs {
		for _, src := range in.Sources {
			d, ok := digests[src]
			if !ok {
				continue // a skipped source of an optional or list input
			}
			path, err := s.open(src.Port, d)
			if err != nil {
				return t, fmt.Errorf("input %s: %w", src.Label(), err)
			}
			t.Inputs[in.Port.Name] = append(t.Inputs[in.Port.Name], stage.Input{Path: path, Label: src.Label()})
		}
	}
	for _, p := range n.Type.Outputs {
		name := p.Name
		if p.Kind == stage.RowsPort {
			name += ".jsonl"
		}
		t.Outputs[p.Name] = filepath.Join(staging, name)
	}
	return t, nil
}

func (s *scheduler) open(p stage.Port, d store.Digest) (string, error) {
	if p.Kind == stage.DirPort {
		return s.store.MaterializeTree(d)
	}
	return s.store.Path(d)
}

// publish puts the outputs into the store and then the action that names them.
// What cost money or hours is synced to disk first.
func (s *scheduler) publish(n *graph.Node, task stage.Task, res stage.Result, a *store.Action) error {
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
	put, err := s.store.PutAction(a, dur)
	if err != nil {
		return err
	}
	if put.Conflict {
		s.emit(event.Event{Kind: event.StageWarning, Stage: n.Name, Type: n.Type.Type, Key: a.Key,
			Message: "gave another result than before for the same inputs; the first one stays in force, this one is kept beside it"})
	}
	a.Outputs = put.Pinned.Outputs
	return nil
}
