package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
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

	progress map[string]event.Event // the latest of each running stage
	told     time.Time              // when it was last written
}

// Progress is no part of the history: there is too much of it, and nobody needs it
// later. While the run lives, its folder holds the latest of each stage.
const (
	progressFile  = "progress.json"
	progressEvery = time.Second
)

// ReadProgress tells how far the running stages of a run are, by stage: the latest
// [event.StageProgress] of each, a second old at most. Stages that have ended since may
// be among them. It is empty when nothing is known, as after the run.
func ReadProgress(st *store.Store, id string) (map[string]event.Event, error) {
	b, err := os.ReadFile(filepath.Join(st.RunDir(id), progressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	var p map[string]event.Event
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("run %s: %s: %w: %w", id, progressFile, store.ErrCorrupt, err)
	}
	return p, nil
}

// newHistorian starts the history of a run. A read-only store still serves what is
// cached, so that is only a warning; a stage that has to run will fail.
func newHistorian(st *store.Store, info store.RunInfo, r RunRecipe, sink event.Sink) (*historian, error) {
	run, err := st.NewRun(info)
	if errors.Is(err, store.ErrReadOnly) {
		sink(event.Event{Time: time.Now(), Kind: event.StageWarning,
			Message: fmt.Sprintf("this run is not recorded in the history, and only cached results can be used: %v", err)})
		return &historian{id: Unrecorded}, nil
	}
	if err != nil {
		return nil, err
	}
	h := &historian{id: run.ID(), run: run, keys: map[string]string{}, progress: map[string]event.Event{}}
	h.err = r.write(run)
	return h, nil
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
	case event.StageProgress:
		h.progress[e.Stage] = e
		if time.Since(h.told) >= progressEvery {
			h.tellProgress()
		}
		return
	}
	h.note(h.run.Event(e))
	switch e.Kind {
	case event.StageDone, event.StageFailed, event.StageStopped:
		delete(h.progress, e.Stage)
	case event.StageHit, event.StageSkipped:
		return // many come at once; what follows them flushes them
	}
	h.note(h.run.Flush()) // whoever follows the run reads its events now
}

// note keeps the first error: a full disk fails every event.
func (h *historian) note(err error) {
	if h.err == nil {
		h.err = err
	}
}

// tellProgress writes the progress file. Failing to harms nobody but those who look on.
func (h *historian) tellProgress() {
	h.told = time.Now()
	if b, err := json.Marshal(h.progress); err == nil {
		_ = atomicfile.WriteBytes(filepath.Join(h.run.Dir(), progressFile), 0o644, atomicfile.Relaxed, b)
	}
}

// finish records how the run ended.
func (h *historian) finish(status string) error {
	if h.run == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.told.IsZero() {
		_ = os.Remove(filepath.Join(h.run.Dir(), progressFile)) // it would only be stale
	}
	err := h.run.Finish(status, func(i *store.RunInfo) { i.Actions = h.keys })
	if h.err != nil {
		err = errors.Join(err, fmt.Errorf("the history of this run is incomplete: %w", h.err))
	}
	return err
}
