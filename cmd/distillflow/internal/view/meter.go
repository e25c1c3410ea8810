package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/internal/base/text"
)

// meter follows one running stage.
type meter struct {
	name    string
	typ     string
	started time.Time
	done    int64
	total   int64
	unit    string
	values  map[string]float64
	message string
	samples []sample  // oldest first; rates are measured over them
	losses  []float64 // the course of the mean loss, oldest first, at most maxLosses
}

type sample struct {
	at     time.Time
	done   int64
	tokens float64
}

// maxLosses bounds the course of the loss: when it is full, every second value goes.
const maxLosses = 256

const (
	rateWindow  = 20 * time.Second       // what the rate looks back on
	rateSpacing = 500 * time.Millisecond // between two samples
)

// update takes a progress event. The rate starts anew where the stage counts
// something else or starts over, as it does when a new phase begins.
func (m *meter) update(e event.Event, now time.Time) {
	if e.Unit != m.unit || e.Done < m.done {
		m.samples = nil
	}
	m.done, m.total, m.unit, m.message = e.Done, e.Total, e.Unit, e.Message
	if len(e.Values) > 0 {
		m.values = e.Values
	}
	if loss, ok := meanLoss(e.Values); ok {
		if len(m.losses) == maxLosses {
			for i := range maxLosses / 2 {
				m.losses[i] = m.losses[2*i]
			}
			m.losses = m.losses[:maxLosses/2]
		}
		m.losses = append(m.losses, loss)
	}
	if n := len(m.samples); n >= 2 && now.Sub(m.samples[n-2].at) < rateSpacing {
		m.samples[n-1] = sample{now, m.done, m.values["tokens"]}
	} else {
		m.samples = append(m.samples, sample{now, m.done, m.values["tokens"]})
	}
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) > rateWindow {
		m.samples = m.samples[1:]
	}
}

// meanLoss is the loss of all students together: each has its own, "loss/NAME".
func meanLoss(values map[string]float64) (loss float64, ok bool) {
	n := 0.0
	for name, v := range values {
		if name == "loss" || strings.HasPrefix(name, "loss/") {
			loss += v
			n++
		}
	}
	return loss / max(n, 1), n > 0
}

// perSecond is the speed over the window; 0 means unknown.
func (m *meter) perSecond() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	if d := last.at.Sub(first.at).Seconds(); d > 0 {
		return float64(last.done-first.done) / d
	}
	return 0
}

// tokensPerSecond is the speed in tokens over the window; 0 means unknown.
func (m *meter) tokensPerSecond() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	if d := last.at.Sub(first.at).Seconds(); d > 0 {
		return max(last.tokens-first.tokens, 0) / d
	}
	return 0
}

// left is the time until done at the present speed, counted down from the last
// report; ok is false where it is unknown.
func (m *meter) left(now time.Time) (d time.Duration, ok bool) {
	r := m.perSecond()
	if r <= 0 || m.total <= m.done {
		return 0, false
	}
	seconds := float64(m.total-m.done) / r
	if seconds > 1e8 {
		return 0, false
	}
	d = time.Duration(seconds*float64(time.Second)) - now.Sub(m.samples[len(m.samples)-1].at)
	return max(d, 0), true
}

// count prints "40/400 steps", "40 steps" or nothing.
func (m *meter) count() string {
	unit := text.OneLine(m.unit)
	if unit != "" {
		unit = " " + unit
	}
	switch {
	case m.total > 0:
		return fmt.Sprintf("%d/%d%s", m.done, m.total, unit)
	case m.done > 0:
		return fmt.Sprintf("%d%s", m.done, unit)
	}
	return ""
}

// figures prints everything known: count, rate, time left, values, message.
func (m *meter) figures(now time.Time) string {
	var speed, tokens, eta string
	if r := m.tokensPerSecond(); r > 0 {
		tokens = fmt.Sprintf("%.0f tokens/s", r)
	}
	if r := m.perSecond(); r > 0 {
		speed = rate(r)
	}
	if d, ok := m.left(now); ok {
		eta = "ETA " + duration(d)
	}
	return joinNonEmpty(", ", m.count(), speed, eta, tokens, Values(m.values), text.OneLine(m.message))
}
