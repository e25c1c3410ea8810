package flow

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
)

// Unrecorded is the id of a run without a history: its store is read-only.
const Unrecorded = "unrecorded"

// historian writes a run's events to its history and remembers its keys.
type historian struct {
	id   string
	run  *store.Run // nil for a run that is not recorded
	mu   sync.Mutex
	keys map[string]string
	err  error
}

// newHistorian starts the history of a run. A read-only store still serves what is
// cached, so that is only a warning; a stage that has to run will fail.
func newHistorian(st *store.Store, info store.RunInfo, sink event.Sink) (*historian, error) {
	run, err := st.NewRun(info)
	if errors.Is(err, store.ErrReadOnly) {
		sink(event.Event{Time: time.Now(), Kind: event.StageWarning,
			Message: fmt.Sprintf("this run is not recorded in the history, and only cached results can be used: %v", err)})
		return &historian{id: Unrecorded}, nil
	}
	if err != nil {
		return nil, err
	}
	return &historian{id: run.ID(), run: run, keys: map[string]string{}}, nil
}

func (h *historian) event(e event.Event) {
	if h.run == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Kind {
	case event.RunStarted:
		h.keys = make(map[string]string, e.Total)
	case event.StageHit, event.StageDone:
		h.keys[e.Stage] = e.Key
	}
	if e.Kind == event.StageProgress {
		return // there are too many, and nobody needs them later
	}
	if err := h.run.Event(e); err != nil && h.err == nil {
		h.err = err // the first is enough: a full disk fails every event
	}
}

// finish records how the run ended.
func (h *historian) finish(status string) error {
	if h.run == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.run.Finish(status, func(i *store.RunInfo) { i.Actions = h.keys })
	if h.err != nil {
		err = errors.Join(err, fmt.Errorf("the history of this run is incomplete: %w", h.err))
	}
	return err
}
