// Package view shows runs in a terminal. While one goes on: as a live view, as plain
// lines, or as one JSON event per line; each such view is an event sink, and none of them
// decides anything. Afterwards: its end, its tables, outputs and log, and lists of runs,
// from what package runrecord reads.
package view

import (
	"io"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/internal/base/text"
)

// View shows events. Event is an [event.Sink] and safe for concurrent use. Close
// ends the view, prints what it held back, and returns the first write error;
// events after it are dropped.
type View interface {
	Event(event.Event)
	Close() error
}

// Options adjust a view. Zero fields get defaults.
type Options struct {
	Now      func() time.Time // default time.Now
	Interval time.Duration    // plain: between two progress lines of one stage; default 5 s
	Refresh  time.Duration    // live: between two frames; default 150 ms
	Quiet    bool             // plain: only warnings, failures and what somebody asked of the run
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Interval <= 0 {
		o.Interval = 5 * time.Second
	}
	if o.Refresh <= 0 {
		o.Refresh = 150 * time.Millisecond
	}
	return o
}

// For chooses a view for w: JSON lines if asked, the live view if w is a
// terminal, plain lines otherwise.
func For(w io.Writer, isTerminal, json bool) View {
	switch {
	case json:
		return JSON(w)
	case isTerminal:
		return Live(w, Options{})
	}
	return Plain(text.Screen(w), Options{})
}
