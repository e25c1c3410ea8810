package view

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

type plainView struct {
	opts Options

	mu     sync.Mutex
	w      io.Writer
	err    error
	closed bool
	story  *story
	last   map[string]time.Time // when a stage last had a line
}

// Plain writes lines for a log: when a stage starts and ends, what went wrong,
// and in between, at most once per interval and stage, how far it is.
func Plain(w io.Writer, opts Options) View {
	v := &plainView{opts: opts.withDefaults(), w: w, story: newStory(true), last: map[string]time.Time{}}
	v.story.quiet = opts.Quiet
	return v
}

func (v *plainView) Event(e event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	now := v.opts.Now()
	v.story.add(e, now)
	switch e.Kind {
	case event.StageStarted:
		v.last[e.Stage] = now
	case event.StageDone, event.StageFailed:
		delete(v.last, e.Stage)
	case event.StageProgress:
		m := v.story.running[e.Stage]
		if m != nil && now.Sub(v.last[e.Stage]) >= v.opts.Interval {
			v.last[e.Stage] = now
			v.story.say("running", joinNonEmpty(": ", m.name, m.figures(now)))
		}
	}
	v.write()
}

func (v *plainView) write() {
	lines := v.story.take()
	if v.err != nil || len(lines) == 0 {
		return
	}
	_, v.err = io.WriteString(v.w, strings.Join(lines, "\n")+"\n")
}

func (v *plainView) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.closed = true
		v.story.flush()
		v.write()
	}
	if v.err != nil {
		return fmt.Errorf("writing progress: %w", v.err)
	}
	return nil
}
