package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/internal/base/text"
)

const (
	// Of this many stages each start and end gets a line; more are collapsed.
	talkative = 40
	// So many warnings of one stage are printed; more are counted.
	maxWarnings = 5
	// Collapsed lines are held back this long.
	holdBack = 5 * time.Second
)

// story turns events into the lines that stay on the screen or in the log. It
// collapses what would repeat: cached and skipped stages, the ends of very many
// stages, floods of warnings. It is not safe for concurrent use.
type story struct {
	lines []string // not yet taken

	held      []held // lines that are being collected
	running   map[string]*meter
	order     []string          // running, in the order of their start
	waiting   map[string]string // stages behind another process: who that is
	warned    map[string]map[string]int
	starts    int // start lines given
	ends      int // end lines given
	withStart bool
	quiet     bool // only what went wrong, or was asked for

	started                       time.Time
	total                         int64
	paused                        bool
	cached, done, failed, skipped int
}

// held is a set of stages that met the same fate.
type held struct {
	word, reason string
	stages       []string
	since        time.Time
}

func newStory(withStart bool) *story {
	return &story{running: map[string]*meter{}, waiting: map[string]string{}, warned: map[string]map[string]int{}, withStart: withStart}
}

// take hands over the finished lines.
func (s *story) take() []string {
	l := s.lines
	s.lines = nil
	return l
}

func (s *story) say(word, msg string) {
	s.flush()
	if s.quiet && !slices.Contains([]string{"warning", "failed", "control", "stopped"}, word) {
		return
	}
	s.lines = append(s.lines, fmt.Sprintf("%-8s %s", word, msg))
}

// hold puts a stage on a line that is being collected. Several are collected
// side by side, because the fates of parallel stages alternate.
func (s *story) hold(word, reason, stage string, now time.Time) {
	for i := range s.held {
		if h := &s.held[i]; h.word == word && h.reason == reason {
			h.stages = append(h.stages, text.OneLine(stage))
			return
		}
	}
	s.held = append(s.held, held{word: word, reason: reason, stages: []string{text.OneLine(stage)}, since: now})
}

// flush prints the lines that are being collected.
func (s *story) flush() {
	hs := s.held
	s.held = nil
	for _, h := range hs {
		msg := names(h.stages)
		if h.reason != "" {
			msg += ": " + text.OneLine(h.reason)
		}
		s.say(h.word, msg)
	}
}

// add takes one event.
func (s *story) add(e event.Event, now time.Time) {
	if s.started.IsZero() {
		s.started = now
	}
	switch e.Kind {
	case event.StageProgress, event.StageWarning, event.StageSaved:
	default:
		delete(s.waiting, e.Stage)
	}
	switch e.Kind {
	case event.RunStarted:
		s.total = e.Total
	case event.StageHit:
		s.cached++
		s.hold("cached", "", e.Stage, now)
	case event.StageSkipped:
		s.skipped++
		s.hold("skipped", e.Reason, e.Stage, now)
	case event.StageWaiting:
		s.waiting[e.Stage] = text.OneLine(e.Message)
		s.say("waiting", text.OneLine(e.Stage)+": "+text.OneLine(e.Message))
	case event.StageStarted:
		s.start(e, now)
	case event.StageProgress:
		if m := s.running[e.Stage]; m != nil {
			m.update(e, now)
		}
	case event.StageWarning:
		s.warn(e)
	case event.StageDone:
		s.end(e, now)
	case event.StageFailed:
		s.failed++
		s.finish(e.Stage)
		s.say("failed", text.OneLine(e.Stage)+": "+text.FirstLine(e.Error))
	case event.StageSaved:
		for _, port := range slices.Sorted(maps.Keys(e.Outputs)) {
			s.say("saved", text.OneLine(e.Stage)+"."+text.OneLine(port)+": "+text.OneLine(e.Outputs[port].Path))
		}
	case event.RunControl:
		s.control(e)
	case event.RunDone:
		s.sum(e, now)
	}
	if len(s.held) > 0 && now.Sub(s.held[0].since) >= holdBack {
		s.flush()
	}
}

func (s *story) start(e event.Event, now time.Time) {
	if s.running[e.Stage] == nil {
		s.order = append(s.order, e.Stage)
	}
	s.running[e.Stage] = &meter{name: text.OneLine(e.Stage), typ: text.OneLine(e.Type), started: now}
	if !s.withStart {
		return
	}
	if s.starts++; s.starts > talkative {
		return
	}
	msg := text.OneLine(e.Stage)
	if e.Type != "" {
		msg += " (" + text.OneLine(e.Type) + ")"
	}
	if e.Reason != "" {
		msg += ": " + text.OneLine(e.Reason)
	}
	s.say("start", msg)
}

func (s *story) end(e event.Event, now time.Time) {
	s.done++
	s.finish(e.Stage)
	if s.ends++; s.ends > talkative {
		s.hold("done", "", e.Stage, now)
		return
	}
	took := duration(time.Duration(e.Seconds * float64(time.Second)))
	s.say("done", text.OneLine(e.Stage)+" in "+joinNonEmpty("; ", took, outputs(e.Outputs), Values(e.Values)))
}

// finish forgets a running stage and counts the warnings it had too many of.
func (s *story) finish(stage string) {
	delete(s.running, stage)
	for i, n := range s.order {
		if n == stage {
			s.order = append(s.order[:i], s.order[i+1:]...)
			break
		}
	}
	hidden, distinct := 0, 0
	for _, n := range s.warned[stage] {
		distinct++
		hidden += n
	}
	delete(s.warned, stage)
	if hidden -= min(distinct, maxWarnings); hidden > 0 {
		s.say("warning", fmt.Sprintf("%s: %d more warnings like these", text.OneLine(stage), hidden))
	}
}

// control tells what somebody has asked of the run.
func (s *story) control(e event.Event) {
	if e.Error == "" && e.Command != nil {
		switch e.Command.Action {
		case event.Pause:
			s.paused = true
		case event.Resume:
			s.paused = false
		}
	}
	s.say("control", joinNonEmpty(": ", text.OneLine(e.Stage), controlText(e)))
}

func (s *story) warn(e event.Event) {
	seen := s.warned[e.Stage]
	if seen == nil {
		seen = map[string]int{}
		s.warned[e.Stage] = seen
	}
	msg := text.OneLine(e.Message)
	if _, again := seen[msg]; !again && len(seen) >= maxWarnings {
		msg = "" // one entry counts all others, so that memory stays bounded
	} else if !again {
		s.say("warning", text.OneLine(e.Stage)+": "+msg)
	}
	seen[msg]++
}

// sum prints the last line.
func (s *story) sum(e event.Event, now time.Time) {
	took := now.Sub(s.started)
	if e.Seconds > 0 {
		took = time.Duration(e.Seconds * float64(time.Second))
	}
	word := "finished"
	if s.failed > 0 || e.Error != "" {
		word = "stopped"
	}
	msg := "after " + duration(took) + ": " + s.counts()
	if e.Error != "" && s.failed == 0 {
		msg += "; " + text.FirstLine(e.Error)
	}
	s.say(word, msg)
}

// counts prints how many stages met which fate.
func (s *story) counts() string {
	var parts []string
	for _, c := range []struct {
		n    int
		text string
	}{
		{len(s.running), "running"}, {len(s.waiting), "waiting for another process"}, {s.done, "ran"}, {s.cached, "from the cache"}, {s.failed, "failed"}, {s.skipped, "skipped"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.text))
		}
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}
