package exec

import (
	"context"
	"errors"
	"os"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// known is the store for the look-up before a run. That must not wait until a
// large file is hashed: a stage that reads one is looked up when its turn comes.
type known struct{ *store.Store }

// hashedAtOnce is the size in bytes up to which hashing a file takes no time that
// anybody notices.
const hashedAtOnce = 1 << 20

var errUnknown = errors.New("the file's digest is not known yet")

// HashFile implements [plan.Hasher].
func (k known) HashFile(ctx context.Context, path string) (store.Digest, int64, error) {
	if d, size, ok := k.KnownFile(path); ok {
		return d, size, nil
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() > hashedAtOnce {
		return "", 0, errUnknown
	}
	return k.Store.HashFile(ctx, path)
}

// hit ends a node that the look-up before the run found in the cache. So a cached
// stage neither waits for the resources that it declares nor keeps a stage behind
// it waiting. One with files to write has to wait for its turn.
func (s *scheduler) hit(ctx context.Context, step *plan.Step) (f finished, ok bool) {
	n := step.Node
	if step.Status != plan.Hit || n.Stage.Save != "" && s.opts.Save != nil {
		return finished{}, false
	}
	f = finished{n: n, key: step.Key}
	err := parallel.Call(func() error {
		if s.opts.Check != nil {
			if err := s.opts.Check(ctx, n, step.Canonical, nil); err != nil {
				return err
			}
		}
		s.cached(*step, &f)
		return s.conclude(ctx, *step, &f)
	})
	if err != nil {
		return s.failed(ctx, f, err), true
	}
	return f, true
}

// cached takes a node's result from the cache.
func (s *scheduler) cached(step plan.Step, f *finished) {
	s.emit(event.Event{Kind: event.StageHit, Stage: f.n.Name, Type: f.n.Type.Type, Key: step.Key,
		Reason: step.Reason.String(), Outputs: eventOutputs(step.Outputs)})
	f.state, f.outputs = Cached, step.Outputs
}

// conclude notes what a node with a result was made from, and checks it.
func (s *scheduler) conclude(ctx context.Context, step plan.Step, f *finished) error {
	f.preimage = step.Canonical
	if ptr, ok := s.planOpts.Last[f.n.Name]; !ok || ptr.Key != step.Key {
		f.pointer = &store.Pointer{Key: step.Key, Preimage: step.Canonical}
	}
	if s.opts.Check == nil {
		return nil
	}
	return s.opts.Check(ctx, f.n, f.preimage, f.outputs)
}
