package parcel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// told is what a worker has told so far. It is one object, replaced as a whole: of
// progress only the last counts.
type told struct {
	Started  *job.Start      `json:"started,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Progress *stage.Progress `json:"progress,omitempty"`
}

// Follower passes on what a task's workers tell, as it comes.
type Follower struct {
	Parcel Parcel

	started  job.Start
	warnings int    // how many of this worker were passed on
	progress string // what was passed on last, as JSON
}

// Poll passes on what is new. It reports the worker that has begun, if one is new.
func (f *Follower) Poll(ctx context.Context, h exec.Hooks) (*job.Start, error) {
	b, err := f.Parcel.Bucket.GetObject(ctx, f.Parcel.object(toldObject))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the worker tells: %w", err)
	}
	var t told
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("what the worker of %s tells: %w", f.Parcel.Name, err)
	}
	var begun *job.Start
	if t.Started != nil && *t.Started != f.started {
		f.started, f.warnings, begun = *t.Started, 0, t.Started
	}
	for ; f.warnings < len(t.Warnings); f.warnings++ {
		if h.Warn != nil {
			h.Warn(t.Warnings[f.warnings])
		}
	}
	if b, err := json.Marshal(t.Progress); err == nil && t.Progress != nil && h.Progress != nil && string(b) != f.progress {
		f.progress = string(b)
		h.Progress(*t.Progress)
	}
	return begun, nil
}

// teller collects what a worker tells and sends it on.
type teller struct {
	parcel Parcel

	mu      sync.Mutex
	told    told
	size    int // bytes of the warnings
	changed bool
}

// maxWarnings bounds the warnings of a worker, which are sent again with each change, in
// bytes.
const maxWarnings = 1 << 20

// hooks collect.
func (t *teller) hooks() exec.Hooks {
	return exec.Hooks{
		Progress: func(p stage.Progress) { t.change(func() { t.told.Progress = &p }) },
		Warn:     func(m string) { t.change(func() { t.warn(m) }) },
	}
}

// warn adds a warning while there is room, and then one that says so.
func (t *teller) warn(m string) {
	had := t.size
	switch t.size += len(m); {
	case t.size <= maxWarnings:
		t.told.Warnings = append(t.told.Warnings, m)
	case had <= maxWarnings:
		t.told.Warnings = append(t.told.Warnings, "further warnings are left out: those so far have a megabyte")
	}
}

func (t *teller) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	t.changed = true
}

// send sends what is new.
func (t *teller) send(ctx context.Context) error {
	t.mu.Lock()
	b, err := json.Marshal(t.told)
	changed := t.changed
	t.changed = false
	t.mu.Unlock()
	if err != nil || !changed {
		return err
	}
	err = t.parcel.Bucket.PutObject(ctx, t.parcel.object(toldObject), b)
	if err != nil {
		t.change(func() {}) // it is still to be sent
	}
	return err
}
