package train

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/distillflow/distillflow/internal/lm/device"
)

// speedometer measures what no output may hold: how fast steps go and how much memory is
// in use. Its figures go to the run's view and its record.
type speedometer struct {
	at           time.Time // of the first step that is measured
	real, padded int64     // before it
	looked       int       // step at which memory was looked at last
	memory, peak float64   // GiB
}

// tokens counts what went through the students, without padding and with it.
func (t *trainer) tokens() (real, padded int64) {
	for _, s := range t.students {
		real, padded = real+s.count.real, padded+s.count.padded
	}
	return real, padded
}

// speedValues are the names of those figures.
var speedValues = []string{"tokens/s", "padded_tokens/s", "memory_gib"}

// startSpeed begins to measure steps.
func (t *trainer) startSpeed() {
	t.speed.at = t.now()
	t.speed.real, t.speed.padded = t.tokens()
}

// measureSpeed adds figures of the steps since startSpeed to values: tokens a second over all
// students and passes, and memory in GiB, of the process and of the GPUs that students lie
// on, as it was at the last log_every steps.
func (t *trainer) measureSpeed(ctx context.Context, values map[string]float64) {
	m := &t.speed
	real, padded := t.tokens()
	if s := t.now().Sub(m.at).Seconds(); s > 0 {
		values["tokens/s"], values["padded_tokens/s"] = float64(real-m.real)/s, float64(padded-m.padded)/s
	}
	if m.memory == 0 || t.step-m.looked >= t.plan.logEvery {
		m.looked, m.memory = t.step, float64(t.memory(ctx))/(1<<30)
		m.peak = max(m.peak, m.memory)
	}
	values["memory_gib"] = m.memory
}

// memory is what the process and the students' GPUs have in use, in bytes.
func (t *trainer) memory(ctx context.Context) int64 {
	used := resident()
	seen := map[*device.Device]bool{}
	for _, s := range t.students {
		for _, d := range s.devs {
			if !seen[d] {
				seen[d] = true
				used += d.Used(ctx)
			}
		}
	}
	return used
}

// resident is the memory that this process occupies, in bytes; where the system does not
// say, what Go's runtime holds of it.
func resident() int64 {
	var pages [2]int64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscan(string(b), &pages[0], &pages[1]); err == nil {
			return pages[1] * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
