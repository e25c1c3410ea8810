package main

import (
	"math"
	"os"
	"runtime/debug"
	"sync"

	"github.com/distillflow/distillflow/flow/event"
)

// Loading and planning a recipe of many stages makes a lot of small objects that
// stay: collecting less often saves a fifth of the time, as long as the heap is
// small. Stages that compute need other settings, so the first that starts gets
// Go's own back.
const (
	planningPercent = 200
	planningLimit   = 850 << 20 // bytes; near it the collector works as usual
)

// planMemory sets the collector for planning, unless the user has set it, and
// returns what undoes that at the first stage that starts.
func planMemory() event.Sink {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func(event.Event) {}
	}
	debug.SetGCPercent(planningPercent)
	debug.SetMemoryLimit(planningLimit)
	var once sync.Once
	return func(e event.Event) {
		if e.Kind != event.StageStarted {
			return
		}
		once.Do(func() {
			debug.SetMemoryLimit(math.MaxInt64)
			debug.SetGCPercent(100)
		})
	}
}
