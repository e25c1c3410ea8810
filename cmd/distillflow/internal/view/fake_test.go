package view

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fakeRun sends the events of a made-up run to sink and calls sleep between
// them: a cached head, a stage with warnings, two students trained side by
// side, one failure and what it stops.
func fakeRun(sink event.Sink, sleep func(time.Duration)) {
	emit := func(e event.Event) { sink(e) }
	emit(event.Event{Kind: event.RunStarted, Run: "r1", Total: 11})
	for _, s := range []string{"problems", "prompts"} {
		emit(event.Event{Kind: event.StageHit, Stage: s, Type: "scan"})
	}
	emit(event.Event{Kind: event.StageWaiting, Stage: "replies", Message: "process 7 has been making the same result"})
	emit(event.Event{Kind: event.StageStarted, Stage: "replies", Type: "batch-llm", Reason: "config.temperature 0.7 -> 0.8"})
	for i := 1; i <= 20; i++ {
		sleep(200 * time.Millisecond)
		emit(event.Event{Kind: event.StageProgress, Stage: "replies", Done: int64(i * 60), Total: 1200, Unit: "calls",
			Values: map[string]float64{"dollars": 0.01 * float64(i)}})
		emit(event.Event{Kind: event.StageWarning, Stage: "replies", Message: "retry after HTTP 429\x1b[2J\nslow down"})
	}
	emit(event.Event{Kind: event.StageDone, Stage: "replies", Seconds: 4, Values: map[string]float64{"calls": 1200, "retries": 20},
		Outputs: map[string]event.Output{"replies": {Rows: 200}}})
	emit(event.Event{Kind: event.StageSaved, Stage: "replies", Outputs: map[string]event.Output{"replies": {Path: "runs/demo/replies.enriched.jsonl"}}})
	var wg sync.WaitGroup
	students := []string{"students-llama", "students-gemma"}
	for _, name := range students { // before any of them tells anything: tests compare the order
		emit(event.Event{Kind: event.StageStarted, Stage: name, Type: "train-moe", Reason: "never run"})
	}
	for w, name := range students {
		wg.Go(func() {
			for i := 1; i <= 400; i++ {
				if w == 0 {
					sleep(10 * time.Millisecond)
				} else {
					time.Sleep(0)
				}
				emit(event.Event{Kind: event.StageProgress, Stage: name, Done: int64(i), Total: 400, Unit: "steps",
					Values: map[string]float64{"loss": 4 * math.Exp(-float64(i)/100), "tau": 1}})
			}
		})
	}
	wg.Wait()
	emit(event.Event{Kind: event.StageDone, Stage: "students-llama", Seconds: 40})
	emit(event.Event{Kind: event.StageFailed, Stage: "students-gemma", Error: "student \"b\": no rows are left\nhint: lower min_tokens"})
	for _, s := range []string{"scores", "rates"} {
		emit(event.Event{Kind: event.StageSkipped, Stage: s, Reason: "students-gemma failed"})
	}
	emit(event.Event{Kind: event.RunDone, Seconds: 44.2, Error: "1 stage failed"})
}

// fakeMany runs n stages, jobs at a time.
func fakeMany(sink event.Sink, n, jobs int, sleep func(time.Duration)) {
	sink(event.Event{Kind: event.RunStarted, Total: int64(n)})
	work := make(chan int)
	var wg sync.WaitGroup
	for w := range jobs {
		rng := rand.New(rand.NewPCG(uint64(w), 1))
		wg.Go(func() {
			for i := range work {
				name := fmt.Sprintf("stage-%04d", i)
				if i%3 == 0 {
					sink(event.Event{Kind: event.StageHit, Stage: name})
					continue
				}
				sink(event.Event{Kind: event.StageStarted, Stage: name, Type: "derive", Reason: "never run"})
				for p := range 5 {
					sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
					sink(event.Event{Kind: event.StageProgress, Stage: name, Done: int64(p + 1), Total: 5, Unit: "rows"})
				}
				sink(event.Event{Kind: event.StageDone, Stage: name, Seconds: 0.1})
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	sink(event.Event{Kind: event.RunDone})
}
