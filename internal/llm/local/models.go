package local

import (
	"context"
	"runtime"
	"sync"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// Models holds the models of a process. Each is loaded once and kept. The zero value is
// ready and safe for concurrent use.
type Models struct {
	digests digests

	mu   sync.Mutex
	open map[modelKey]*model
}

// modelKey tells models apart by content and by where they lie in memory.
type modelKey struct{ identity, device string }

// model is one model and the queue before it.
type model struct {
	mu sync.Mutex // held while loading
	*causal.Model
	queue *queue
}

// CheckDevice says what is wrong with the name of a device, without opening it.
func CheckDevice(name string) error { return device.Valid(name) }

// get gives a model, which the first caller loads. A load that failed or was cancelled is
// tried again by the next caller.
func (m *Models) get(ctx context.Context, k modelKey, r Ref) (*model, error) {
	m.mu.Lock()
	if m.open == nil {
		m.open = map[modelKey]*model{}
	}
	e := m.open[k]
	if e == nil {
		e = &model{}
		m.open[k] = e
	}
	m.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Model != nil {
		return e, nil
	}
	dev, err := device.Open(k.device)
	if err != nil {
		return nil, err
	}
	bf16 := r.Precision == "bf16" || r.Precision == "" && dev.IsGPU()
	c, err := causal.Open(ctx, dev, r.Model, causal.Options{BF16: bf16, Quantize: r.Quantize, Tokenizer: r.Tokenizer})
	if err != nil {
		return nil, err
	}
	if r.Adapter != "" {
		if c, err = c.WithAdapter(r.Adapter); err != nil {
			return nil, err
		}
	}
	gen, err := c.Generator()
	if err != nil {
		return nil, err
	}
	workers := 1
	if !gen.Parallel() {
		workers = runtime.GOMAXPROCS(0)
	}
	e.queue = newQueue(workers, func(ctx context.Context, questions []*question, b *batch) { answer(ctx, c, questions, b) })
	e.Model = c
	return e, nil
}
