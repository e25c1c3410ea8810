package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/distillflow/distillflow/flow/event"
)

// The rows of stages that wait for another process, ask a model, or learn; and a run that
// somebody has paused.
func TestRowsOfStages(t *testing.T) {
	c := newClock()
	v := newLive(&bytes.Buffer{}, Options{Now: c.now}, mpb.WithManualRefresh(make(chan any)))
	defer v.Close()
	v.Event(event.Event{Kind: event.RunStarted, Total: 5})
	v.Event(event.Event{Kind: event.StageWaiting, Stage: "judged", Message: "process 7 has been\x1b making the same result"})
	v.Event(event.Event{Kind: event.StageStarted, Stage: "replies"})
	v.Event(event.Event{Kind: event.StageStarted, Stage: "students"})
	for i := range 11 {
		v.Event(event.Event{Kind: event.StageProgress, Stage: "replies", Done: int64(i), Total: 100, Unit: "rows", Values: map[string]float64{"calls": float64(i), "tokens": float64(300 * i)}})
		v.Event(event.Event{Kind: event.StageProgress, Stage: "students", Done: int64(i), Total: 100, Unit: "steps", Values: map[string]float64{"loss/gemma": float64(9 - i), "loss/llama": float64(11 - i)}})
		c.add(time.Second)
	}
	v.Event(event.Event{Kind: event.RunControl, Message: "paused", Command: &event.Command{Action: event.Pause}})
	rows := strings.Join(v.rows(c.now(), 160), "\n")
	for _, want := range []string{"judged  waits: process 7 has been", "300 tokens/s", "█▇▇▆▅▅▄▃▂▂▁"} {
		if !strings.Contains(rows, want) {
			t.Errorf("no %q in\n%s", want, rows)
		}
	}
	if strings.Contains(rows, "\x1b") {
		t.Errorf("an escape in %q", rows)
	}
	if s := v.status(c.now()); !strings.HasPrefix(s, "paused; 2 running, 1 waiting for another process, of 5 stages") {
		t.Errorf("status %q", s)
	}
	v.Event(event.Event{Kind: event.StageHit, Stage: "judged"})
	v.Event(event.Event{Kind: event.RunControl, Message: "resumed", Command: &event.Command{Action: event.Resume}})
	if s := v.status(c.now()); !strings.HasPrefix(s, "2 running, 1 from the cache") {
		t.Errorf("status %q", s)
	}
}

// The course of a long loss stays within bounds.
func TestLossesAreBounded(t *testing.T) {
	m := &meter{}
	for i := range 10_000 {
		m.update(event.Event{Done: int64(i), Values: map[string]float64{"loss": float64(-i)}}, time.Unix(int64(i), 0))
	}
	if n := len(m.losses); n > maxLosses || n < maxLosses/2 || m.losses[0] != 0 || m.losses[n-1] != -9999 {
		t.Errorf("%d values, %v", n, fmt.Sprint(m.losses))
	}
}
