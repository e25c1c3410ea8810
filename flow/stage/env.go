package stage

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Memo keeps the answers to paid requests for ever. Its methods are safe for
// concurrent use.
type Memo interface {
	Get(key [32]byte) (value []byte, ok bool, err error)
	// Put returns once the value would survive a crash.
	Put(key [32]byte, value []byte) error
	// Claim waits until nobody else, in any process, holds a claim on key. What
	// holders before have put is then in Get: look again before paying. release
	// ends the claim; so does the end of the process. A caller holds one claim at
	// a time. warn is told where claims cannot keep other processes away.
	Claim(ctx context.Context, key [32]byte, warn func(string)) (release func(), err error)
}

// Progress is how far a stage is.
type Progress struct {
	Done, Total int64              // Total 0 means unknown
	Unit        string             // rows, calls, steps
	Values      map[string]float64 // loss, dollars, ...
	Message     string
}

// Services is what a process offers to the stages it runs. Nil members are
// replaced by ones that do nothing.
type Services struct {
	Memo     Memo
	Getenv   func(string) string // for API keys; no output may depend on it
	Progress func(Progress)
	Warn     func(string)
	// Fault is called at named points so that crash tests can stop there.
	Fault func(point string)
	// Shared is what the stages of this process have in common.
	Shared *Shared
	// Control steers the stages while they run.
	Control *Control
}

// Shared holds values that the stages of a run share as long as they run in one
// process, such as the limits of a provider that several of them ask. Each is
// made when the first stage wants it. The zero value is ready; from a nil *Shared
// every caller gets a value of its own.
type Shared struct {
	mu sync.Mutex
	m  map[string]any
}

// Value returns the value of a name, which create makes the first time.
func (s *Shared) Value(name string, create func() any) any {
	if s == nil {
		return create()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string]any{}
	}
	v, ok := s.m[name]
	if !ok {
		v = create()
		s.m[name] = v
	}
	return v
}

// Env is a running stage's connection to the engine. Its methods are safe for
// concurrent use.
type Env struct {
	// Seed is the stage's own seed: derived from the recipe's seed and the stage
	// type, never from the stage's name. Zero for classes that use none.
	Seed uint64
	// Key is the stage's action key, the same for the same work wherever it runs;
	// "" where the stage runs outside a recipe.
	Key string
	// Recipe names the recipe for people: its file's name and folder. No output may
	// depend on it.
	Recipe string
	// WorkDir is a scratch folder that belongs to this action key. It survives a
	// crash, so that long work can resume, and is removed after success. Stages
	// of class pure, which are quick as a rule, make it themselves if they need
	// it; for others it is there.
	WorkDir string
	// GPUs are the devices that belong to this stage alone while it runs, as CUDA
	// names them: as many as it declares in resources: gpus. Nil when it declares
	// none, or when it is not known which there are. A process that the stage starts
	// gets them by [VisibleGPUs]; a stage with a process of its own (run --isolate)
	// has them there already. No output may depend on which they are.
	GPUs []string
	// Memo is never nil; without one it forgets everything.
	Memo Memo

	svc        Services
	stage      string // name in the recipe
	mu         sync.Mutex
	stats      map[string]float64
	means      map[string]Mean
	incomplete string
}

// VisibleGPUs is the environment variable that leaves only some GPUs to a
// process: a comma-separated list.
const VisibleGPUs = "CUDA_VISIBLE_DEVICES"

type noMemo struct{}

func (noMemo) Get([32]byte) ([]byte, bool, error) { return nil, false, nil }
func (noMemo) Put([32]byte, []byte) error         { return nil }
func (noMemo) Claim(context.Context, [32]byte, func(string)) (func(), error) {
	return func() {}, nil
}

// NewEnv makes an Env, for the engine and for tests.
func NewEnv(seed uint64, workDir string, svc Services) *Env {
	e := &Env{Seed: seed, WorkDir: workDir, Memo: svc.Memo, svc: svc, stats: map[string]float64{}}
	if e.Memo == nil {
		e.Memo = noMemo{}
	}
	return e
}

// Rand is a random stream of the stage. Streams with different labels are
// independent.
func (e *Env) Rand(label string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", e.Seed, label)
	return rand.New(rand.NewPCG(e.Seed, h.Sum64()))
}

// Getenv reads an environment variable of the user, for API keys and for what no output
// depends on, such as who is told of a training.
func (e *Env) Getenv(name string) string {
	if e.svc.Getenv == nil {
		return ""
	}
	return e.svc.Getenv(name)
}

// Progress reports how far the stage is.
func (e *Env) Progress(p Progress) {
	if e.svc.Progress != nil {
		for k, v := range p.Values { // JSON has no NaN or infinity
			if math.IsNaN(v) || math.IsInf(v, 0) {
				p.Values = maps.Clone(p.Values)
				delete(p.Values, k)
			}
		}
		e.svc.Progress(p)
	}
}

// Warn tells the user something that does not stop the stage.
func (e *Env) Warn(format string, args ...any) {
	if e.svc.Warn != nil {
		e.svc.Warn(fmt.Sprintf(format, args...))
		return
	}
	slog.Warn(fmt.Sprintf(format, args...))
}

// Shared gives what the stages of this run share in this process. It may be nil,
// which shares nothing.
func (e *Env) Shared() *Shared { return e.svc.Shared }

// Hold waits as long as somebody has paused the run. A stage calls it before anything
// that costs money. It fails only when ctx ends meanwhile.
func (e *Env) Hold(ctx context.Context) error { return e.svc.Control.Hold(ctx) }

// Steer calls apply with what somebody has set of the stage's [Steered] fields, now if
// there is something and after every change, until stop is called. stop returns an error
// only for a panic in apply.
func (e *Env) Steer(apply func(set map[string]float64)) (stop func() error) {
	if e.svc.Control == nil {
		return func() error { return nil }
	}
	end := make(chan struct{})
	wait := parallel.Start(func() error {
		for {
			o, changed := e.svc.Control.Orders(e.stage)
			if len(o.Set) > 0 {
				apply(o.Set)
			}
			select {
			case <-changed:
			case <-end:
				return nil
			}
		}
	})
	return func() error { close(end); return wait() }
}

// Fault marks a point at which a crash test may stop the process.
func (e *Env) Fault(point string) {
	if e.svc.Fault != nil {
		e.svc.Fault(point)
	}
}

// Spending names the figures of [Env.AddStat] that say what was paid. Those of several
// tries of a stage add up.
var Spending = []string{"calls", "prompt_tokens", "completion_tokens", "reasoning_tokens", "usd"}

// AddStat adds to a figure of the run's record, such as calls, tokens or
// retries. Stats stand beside the outputs, never in them. Values that are not
// finite are left out.
func (e *Env) AddStat(name string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) { // JSON has neither
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats[name] += v
}

// AddMean adds to a figure of the run's record that is a sum over something, such as a
// share or a rate. Where over is not above 0 there is nothing to tell.
func (e *Env) AddMean(name string, sum, over float64) {
	if !(over > 0) || math.IsNaN(sum) || math.IsInf(sum, 0) || math.IsInf(over, 0) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.means == nil {
		e.means = map[string]Mean{}
	}
	m := Mean{e.means[name].Sum + sum, e.means[name].Over + over}
	e.means[name], e.stats[name] = m, m.Sum/m.Over
}

// Incomplete marks the outputs as usable but not final: a later run asks for
// what is missing instead of taking them from the cache.
func (e *Env) Incomplete(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.incomplete = reason
}
