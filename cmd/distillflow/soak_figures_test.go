package main

import (
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newJar() http.CookieJar {
	jar, _ := cookiejar.New(nil) // without options it cannot fail
	return jar
}

// soakSample is what the process holds after a round.
type soakSample struct {
	at     time.Duration
	round  int
	values [len(soakFigures)]float64
}

// soakFigure is one thing that must not grow; limit is what counts as flat: so much more
// in an hour.
type soakFigure struct {
	name, unit string
	limit      float64
}

var soakFigures = [...]soakFigure{
	{"resident memory", "MiB", 8},
	{"resident memory without files", "MiB", 4}, // such as the program's own code
	{"pages of the heap in use", "MiB", 4},      // spans that hold at least one object
	{"stacks and the runtime's tables", "MiB", 4},
	{"resident, none of these", "MiB", 4}, // freed pages the system has not taken back, memory of C
	{"heap after collection", "MiB", 2},
	{"objects on the heap", "thousands", 10},
	{"goroutines", "", 1},
	{"threads", "", 2},
	{"open descriptors", "", 1},
	{"child processes", "", 0.5},
	{"temporary files", "", 1},
	{"store", "MiB", 2},
}

// sample waits until what ended has let go, collects garbage, and counts.
func (s *soak) sample(at time.Duration) soakSample {
	s.teacher.srv.CloseClientConnections() // what the teacher still holds open is not ours
	var m runtime.MemStats
	time.Sleep(time.Second)
	runtime.GC()
	runtime.GC() // finalizers have run
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	const mib = 1 << 20
	anon, spans, tables := procStatus("RssAnon:")/1024, float64(m.HeapInuse)/mib, float64(m.StackSys+m.MSpanSys+m.MCacheSys+m.GCSys+m.BuckHashSys+m.OtherSys)/mib
	return soakSample{at, s.round, [...]float64{
		procStatus("VmRSS:") / 1024, anon, spans, tables, anon - spans - tables, float64(m.HeapAlloc) / mib, float64(m.HeapObjects) / 1000,
		float64(runtime.NumGoroutine()), procStatus("Threads:"), entries("/proc/self/fd"), children(),
		entries(s.tmp), folderBytes(filepath.Join(s.dir, ".distillflow")) / mib,
	}}
}

// procStatus is a field of /proc/self/status: a number, or KiB; NaN where there is none.
func procStatus(field string) float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == field {
			v, err := strconv.ParseFloat(words[1], 64)
			if err == nil {
				return v
			}
		}
	}
	return math.NaN()
}

func entries(dir string) float64 {
	list, err := os.ReadDir(dir)
	if err != nil {
		return math.NaN()
	}
	return float64(len(list))
}

// children counts child processes, those that ended and nobody waited for among them.
func children() float64 {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	n := 0
	for _, f := range lists {
		b, _ := os.ReadFile(f)
		n += len(strings.Fields(string(b)))
	}
	return float64(n)
}

func folderBytes(dir string) float64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return float64(n)
}

// verdict says whether a figure grows: its slope an hour with a 95 % interval.
type verdict struct {
	soakFigure
	slope, low, high float64
	first, last      float64 // medians of the first and the last quarter that count
}

// grows reports a slope that is surely above 0, of a size that matters.
func (v verdict) grows() bool { return v.low > 0 && v.high > v.limit }

func (v verdict) word() string {
	switch {
	case v.grows():
		return "grows"
	case v.high <= v.limit:
		return "flat"
	}
	return "undecided"
}

func (v verdict) String() string {
	return fmt.Sprintf("%+.3g %s an hour (%+.3g to %+.3g)", v.slope, v.unit, v.low, v.high)
}

// verdicts leaves out the first quarter of the rounds, in which caches fill.
func (s *soak) verdicts() []verdict {
	kept := s.samples[len(s.samples)/4:]
	var out []verdict
	for i, f := range soakFigures {
		var hours, values []float64
		for _, x := range kept {
			if !math.IsNaN(x.values[i]) {
				hours, values = append(hours, x.at.Hours()), append(values, x.values[i])
			}
		}
		if len(values) < 8 {
			continue
		}
		v := verdict{soakFigure: f}
		v.slope, v.low, v.high = trend(hours, values)
		quarter := len(values) / 4
		v.first, v.last = median(values[:quarter]), median(values[len(values)-quarter:])
		out = append(out, v)
	}
	return out
}

// trend is the median of the slopes of all pairs of points, which single spikes do not
// move, and its 95 % interval from the distribution of Kendall's statistic: Sen,
// Estimates of the regression coefficient based on Kendall's tau, 1968, with the normal
// approximation and the correction for ties of the values.
func trend(x, y []float64) (slope, low, high float64) {
	n := float64(len(x))
	var slopes []float64
	for i := range x {
		for j := range i {
			if x[i] != x[j] {
				slopes = append(slopes, (y[i]-y[j])/(x[i]-x[j]))
			}
		}
	}
	slices.Sort(slopes)
	variance := n * (n - 1) * (2*n + 5)
	same := map[float64]float64{}
	for _, v := range y {
		same[v]++
	}
	for _, t := range same {
		variance -= t * (t - 1) * (2*t + 5)
	}
	c := 1.959964 * math.Sqrt(max(0, variance)/18)
	at := func(rank float64) float64 {
		return slopes[min(max(int(math.Round(rank)), 0), len(slopes)-1)]
	}
	total := float64(len(slopes))
	return median(slopes), at((total-c)/2 - 1), at((total + c) / 2)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// table shows the verdicts, some of the samples, and what ran.
func (s *soak) table() string {
	var b strings.Builder
	last := s.samples[len(s.samples)-1]
	fmt.Fprintf(&b, "%s, %d rounds\n\n", last.at.Round(time.Second), last.round)
	b.WriteString("| figure | first quarter | last quarter | slope an hour (95 % interval) | flat is at most | verdict |\n|---|---|---|---|---|---|\n")
	for _, v := range s.verdicts() {
		fmt.Fprintf(&b, "| %s | %.4g %s | %.4g %s | %+.3g (%+.3g to %+.3g) | %+g | %s |\n", v.name, v.first, v.unit, v.last, v.unit, v.slope, v.low, v.high, v.limit, v.word())
	}
	b.WriteString("\n| minutes | round |")
	for _, f := range soakFigures {
		fmt.Fprintf(&b, " %s |", strings.TrimSpace(f.name+" "+f.unit))
	}
	b.WriteString("\n" + strings.Repeat("|---", len(soakFigures)+2) + "|\n")
	every := 1 + len(s.samples)/25
	for i, x := range s.samples {
		if i%every != 0 && i != len(s.samples)-1 {
			continue
		}
		fmt.Fprintf(&b, "| %.1f | %d |", x.at.Minutes(), x.round)
		for _, v := range x.values {
			fmt.Fprintf(&b, " %.4g |", v)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| command | exit status: times |\n|---|---|\n")
	s.teacher.mu.Lock()
	defer s.teacher.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.exits)) {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(s.exits[name])) {
			parts = append(parts, fmt.Sprintf("%d: %d", status, s.exits[name][status]))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", name, strings.Join(parts, ", "))
	}
	fmt.Fprintf(&b, "\nThe teacher answered %d requests.\n", s.teacher.calls)
	return b.String()
}

func TestTrend(t *testing.T) {
	line := func(n int, f func(i int) float64) (x, y []float64) {
		for i := range n {
			x, y = append(x, float64(i)/10), append(y, f(i))
		}
		return x, y
	}
	for _, c := range []struct {
		name string
		f    func(i int) float64
		want string
	}{
		{"constant", func(int) float64 { return 7 }, "flat"},
		{"line", func(i int) float64 { return float64(i) }, "grows"},
		{"noise", func(i int) float64 { return 100 + float64(i*7919%13)/10 }, "flat"},
		{"noise and a spike", func(i int) float64 { return 100 + float64(i*7919%13)/10 + 500*float64(i/39) }, "flat"},
		{"a leak under noise", func(i int) float64 { return 100 + float64(i*7919%13)/2 + float64(i)/2 }, "grows"},
		{"falls", func(i int) float64 { return -float64(i) }, "flat"},
		{"much noise", func(i int) float64 { return float64(i * 7919 % 101) }, "undecided"},
	} {
		v := verdict{soakFigure: soakFigure{limit: 2}}
		v.slope, v.low, v.high = trend(line(40, c.f))
		if v.word() != c.want || v.low > v.slope || v.slope > v.high {
			t.Errorf("%s: %s: %s, want %s", c.name, v, v.word(), c.want)
		}
	}
}
