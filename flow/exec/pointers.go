package exec

import (
	"errors"
	"time"

	"github.com/distillflow/distillflow/flow/store"
)

// Pointers are written in batches: one file holds those of a recipe, and each
// write takes its lock.
const (
	pointerBatch = 1000
	pointerPause = 200 * time.Millisecond
)

// pointers remembers in the store what each stage ran last, soon after the stage
// has finished: a run that is killed has not run in vain, and the next plan must
// not call its stages never run. The scheduling loop owns it.
type pointers struct {
	store   *store.Store
	recipe  string
	pending map[string]store.Pointer
	due     time.Time // when pending must be written
	cost    time.Duration
	err     error
}

func (p *pointers) add(stageName string, ptr store.Pointer) {
	if p.pending == nil {
		p.pending = map[string]store.Pointer{}
	}
	if len(p.pending) == 0 {
		// Writing takes at most a tenth of the time, however large the file is.
		p.due = time.Now().Add(max(pointerPause, 10*p.cost))
	}
	p.pending[stageName] = ptr
	if len(p.pending) >= pointerBatch && p.cost < pointerPause/10 {
		p.flush()
	}
}

// wait receives from done and writes what falls due meanwhile.
func (p *pointers) wait(done <-chan finished) finished {
	for len(p.pending) > 0 {
		left := time.Until(p.due)
		if left <= 0 {
			p.flush()
			break
		}
		timer := time.NewTimer(left)
		select {
		case f := <-done:
			timer.Stop()
			return f
		case <-timer.C:
		}
	}
	return <-done
}

// flush keeps the first error and goes on: without its pointers a run is as good.
func (p *pointers) flush() {
	started := time.Now()
	err := p.store.SetLastMany(p.recipe, p.pending)
	// A store that must not be written is good for what is cached.
	if err != nil && p.err == nil && !errors.Is(err, store.ErrReadOnly) {
		p.err = err
	}
	p.cost = time.Since(started)
	clear(p.pending)
}

func (p *pointers) close() error {
	if len(p.pending) > 0 {
		p.flush()
	}
	return p.err
}
