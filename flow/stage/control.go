package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Control is what somebody outside wants of the stages of a run while they run: that
// they rest, and other values for fields that [Steered] names. Its methods are safe for
// concurrent use. The zero value is ready; a nil *Control wants nothing.
type Control struct {
	mu      sync.Mutex
	paused  bool
	set     map[string]map[string]float64 // stage -> field -> value
	changed chan struct{}                 // closed and replaced at every change
}

// Orders is what a [Control] wants of one stage.
type Orders struct {
	Paused bool               `json:"paused"`
	Set    map[string]float64 `json:"set,omitempty"` // field -> value
}

// Pause lets the stages rest, or go on.
func (c *Control) Pause(paused bool) {
	c.change(func() { c.paused = paused })
}

// Set gives a stage another value for a field; [Config.Steer] says which it may be.
func (c *Control) Set(stage, field string, v float64) {
	c.change(func() {
		m := maps.Clone(c.set[stage]) // who has it goes on reading it
		if m == nil {
			m = map[string]float64{}
		}
		m[field] = v
		c.set[stage] = m
	})
}

// Obey takes over the orders of a stage from the Control of another process.
func (c *Control) Obey(stage string, o Orders) {
	c.change(func() { c.paused, c.set[stage] = o.Paused, o.Set })
}

func (c *Control) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = map[string]map[string]float64{}
	}
	f()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Orders gives what is wanted of a stage now. The channel is closed when that may have
// changed.
func (c *Control) Orders(stage string) (Orders, <-chan struct{}) {
	if c == nil {
		return Orders{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return Orders{c.paused, c.set[stage]}, c.changed
}

// Hold waits as long as the stages are to rest. It fails only when ctx ends meanwhile.
func (c *Control) Hold(ctx context.Context) error {
	for {
		o, changed := c.Orders("")
		if !o.Paused {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Steered is implemented by configs with fields of numbers that can be changed while
// the stage runs, by [Env.Steer]: their names.
type Steered interface {
	Steered() []string
}

// Steered lists the fields of the stage that can be changed while it runs; see [Steered].
func (t *Type) Steered() []string {
	if s, ok := t.newConfig().Interface().(Steered); ok {
		return s.Steered()
	}
	return nil
}

// Steer checks a new value for a field of a stage that runs, and gives the config with it.
// It changes nothing; see [Control].
func (c *Config) Steer(field string, v float64) (*Config, error) {
	s, ok := c.v.Interface().(Steered)
	if !ok {
		return nil, fmt.Errorf("nothing of %s can be changed while it runs", c.typ.Type)
	}
	if names := s.Steered(); !slices.Contains(names, field) {
		return nil, fmt.Errorf("%s of %s cannot be changed while it runs; %s can", field, c.typ.Type, strings.Join(names, ", "))
	}
	b, err := c.JSON()
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree map[string]any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("config of %s: %w", c.typ.Type, err)
	}
	tree[field] = v
	changed, bad := c.typ.Decode(tree)
	errs := make([]error, len(bad))
	for i, e := range bad {
		errs[i] = e
	}
	return changed, errors.Join(errs...)
}
