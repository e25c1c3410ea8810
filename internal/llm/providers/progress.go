package providers

import (
	"context"
	"fmt"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/base/text"
)

// View is what a live view shows of a Caller.
type View struct {
	Values  map[string]float64
	Message string // why nothing happens just now, or one of the errors, or ""
}

// rateWindow is the time over which the rate of calls is averaged.
const rateWindow = 10 * time.Second

// Watch calls report now and then until stop is called, and once more then. stop returns
// an error only for a panic in done or report. done and total
// count rows, or what else the stage counts; total 0 means unknown.
func (c *Caller) Watch(every time.Duration, done func() (done, total int64), report func(View)) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &meter{caller: c, done: done, start: time.Now()}
	wait := parallel.Start(func() error {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				report(m.view(time.Now()))
			case <-ctx.Done():
				report(m.view(time.Now()))
				return nil
			}
		}
	})
	return func() error { cancel(); return wait() }
}

type meter struct {
	caller *Caller
	done   func() (done, total int64)
	start  time.Time
	marks  []mark // of the last rateWindow
}

type mark struct {
	at    time.Time
	calls int
}

// view computes: calls, in_flight, concurrency, rate (calls a second), memo_hits, retries,
// failed, errors_KIND, tokens, usd, usd_projected (for all rows, at what the rows so far
// cost) and eta_s (seconds to the end). With batches also batches, batches_open,
// batch_requests and batch_done (requests in open batches, and how many of them the
// provider has answered).
func (m *meter) view(now time.Time) View {
	s := m.caller.Stats()
	v := map[string]float64{"calls": float64(s.Calls), "memo_hits": float64(s.MemoHits),
		"in_flight": float64(s.InFlight), "concurrency": float64(s.Concurrency)}
	set := func(name string, n float64) {
		if n > 0 {
			v[name] = n
		}
	}
	set("retries", float64(s.Retries))
	set("failed", float64(s.Failed))
	set("tokens", float64(s.PromptTokens+s.CompletionTokens))
	set("usd", s.USD)
	for k, n := range s.Errors {
		set("errors_"+string(k), float64(n))
	}
	m.marks = append(m.marks, mark{now, s.Calls})
	for len(m.marks) > 1 && now.Sub(m.marks[0].at) > rateWindow {
		m.marks = m.marks[1:]
	}
	if d := now.Sub(m.marks[0].at).Seconds(); d > 0 {
		set("rate", float64(s.Calls-m.marks[0].calls)/d)
	}
	if done, total := m.done(); done > 0 && total >= done {
		share := float64(total) / float64(done)
		set("usd_projected", s.USD*share)
		set("eta_s", now.Sub(m.start).Seconds()*(share-1))
	}
	view := View{Values: v}
	if batches := m.caller.batches.View(); batches.Batches > 0 {
		v["batches"], v["batches_open"] = float64(batches.Batches), float64(batches.Open)
		v["batch_requests"], v["batch_done"] = float64(batches.Requests), float64(batches.Done)
		view.Message = batches.Message
	}
	if s.Example != "" && view.Message == "" {
		view.Message = "last error: " + text.FirstLine(s.Example)
	}
	if s.PausedUntil.After(now) {
		view.Message = fmt.Sprintf("the provider is down; paused until %s", s.PausedUntil.Format(time.TimeOnly))
	}
	return view
}
