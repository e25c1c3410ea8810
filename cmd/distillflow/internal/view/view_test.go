package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/acarl005/stripansi"
	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"

	"github.com/distillflow/distillflow/flow/event"
)

// lockedBuffer is a buffer that mpb may write while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("DISTILLFLOW_UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); d != "" {
		t.Errorf("%s differs (-want +got); DISTILLFLOW_UPDATE=1 rewrites it:\n%s", name, d)
	}
}

// recorded collects the events of the fake run with the times at which they
// came, in one order.
func recorded() (events []event.Event, at []time.Time) {
	c := newClock()
	var mu sync.Mutex
	fakeRun(func(e event.Event) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(e.Stage, "students-gemma") && e.Kind == event.StageProgress {
			return // its order among the others is up to the scheduler
		}
		events, at = append(events, e), append(at, c.now())
	}, c.add)
	return events, at
}

func TestPlainGolden(t *testing.T) {
	c := newClock()
	var b bytes.Buffer
	v := Plain(&b, Options{Now: c.now, Interval: time.Second})
	events, at := recorded()
	for i, e := range events {
		c.t = at[i]
		v.Event(e)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "plain.txt", b.String())
}

func TestLiveRows(t *testing.T) {
	c := newClock()
	v := &liveView{opts: Options{Now: c.now}.withDefaults(), story: newStory(false)}
	v.filler = mpb.BarStyle().Build()
	send := func(e event.Event) { v.story.add(e, c.now()) }
	send(event.Event{Kind: event.RunStarted, Total: 20})
	send(event.Event{Kind: event.StageHit, Stage: "problems"})
	for _, name := range []string{"a-very-long-stage-name-that-does-not-fit", "训练", "b"} {
		send(event.Event{Kind: event.StageStarted, Stage: name})
	}
	for i := range 11 {
		send(event.Event{Kind: event.StageProgress, Stage: "训练", Done: int64(10 * i), Total: 400, Unit: "steps",
			Values: map[string]float64{"loss": 2.5, "entropy": 0.6}, Message: "epoch 1\nof 3"})
		c.add(time.Second)
	}
	send(event.Event{Kind: event.StageProgress, Stage: "b", Done: 7, Unit: "rows"})
	var b strings.Builder
	for _, width := range []int{120, 80, 40, 10} {
		for _, row := range v.rows(c.now(), width) {
			if n := runewidth.StringWidth(row); n > width {
				t.Errorf("a row is %d cells wide at width %d: %q", n, width, row)
			}
			b.WriteString(row + "|\n")
		}
	}
	b.WriteString(v.status(c.now()) + "\n")
	golden(t, "rows.txt", b.String())
}

func TestLiveManyRunning(t *testing.T) {
	c := newClock()
	v := &liveView{opts: Options{Now: c.now}.withDefaults(), story: newStory(false)}
	for i := range 30 {
		v.story.add(event.Event{Kind: event.StageStarted, Stage: string(rune('a'+i%26)) + string(rune('0'+i/26))}, c.now())
	}
	rows := v.rows(c.now(), 80)
	if len(rows) != maxRows+1 || rows[maxRows] != "and 22 more running" {
		t.Errorf("got %d rows, the last %q", len(rows), rows[len(rows)-1])
	}
}

// The live view leaves the same story behind as a log has, whatever mpb drew in
// between.
func TestLiveLeavesTheStory(t *testing.T) {
	c := newClock()
	var b lockedBuffer
	v := newLive(&b, Options{Now: c.now, Refresh: time.Millisecond}, mpb.WithAutoRefresh())
	fakeRun(v.Event, c.add)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
	v.Event(event.Event{Kind: event.StageFailed, Stage: "late", Error: "too late"})
	text := stripansi.Strip(b.String())
	last := -1
	for _, want := range []string{
		"cached   problems, prompts\n",
		"waiting  replies: process 7 has been making the same result\n",
		"warning  replies: retry after HTTP 429 [2J slow down\n",
		"warning  replies: 19 more warnings like these\n",
		"done     replies in 4.0 s; rows: replies 200; 1200 calls, 20 retries\n",
		"saved    replies.replies: runs/demo/replies.enriched.jsonl\n",
		"done     students-llama in 40 s\n",
		"failed   students-gemma: student \"b\": no rows are left\n",
		"skipped  scores, rates: students-gemma failed\n",
		"stopped  after 44 s: 2 ran, 2 from the cache, 1 failed, 2 skipped\n",
	} {
		if n := strings.Count(text, want); n != 1 {
			t.Errorf("%q stands there %d times", want, n)
		}
		i := strings.Index(text, want)
		if i < last {
			t.Errorf("%q comes too early", want)
		}
		last = i
	}
	if strings.Contains(text, "too late") {
		t.Error("an event after Close was printed")
	}
	// mpb moves the cursor up over its own rows and clears; nothing else may
	// come from the events.
	if strings.Contains(b.String(), "\x1b[2J") {
		t.Error("an escape sequence of a message reached the terminal")
	}
}

func TestManyStagesCollapse(t *testing.T) {
	for _, c := range []struct {
		name string
		view func(*lockedBuffer, *clock) View
	}{
		{"plain", func(b *lockedBuffer, c *clock) View { return Plain(b, Options{Now: c.now}) }},
		{"live", func(b *lockedBuffer, c *clock) View {
			return newLive(b, Options{Now: c.now, Refresh: time.Millisecond}, mpb.WithAutoRefresh())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			clk := newClock()
			var b lockedBuffer
			v := c.view(&b, clk)
			fakeMany(v.Event, 1000, 16, func(d time.Duration) { clk.add(d / 16) })
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			story := 0
			for line := range strings.Lines(stripansi.Strip(b.String())) {
				switch strings.SplitN(line, " ", 2)[0] {
				case "start", "done", "cached", "running", "finished":
					story++
				}
				if strings.ContainsFunc(strings.TrimRight(line, "\n"), unicode.IsControl) {
					t.Fatalf("a line has a control character: %q", line)
				}
			}
			if story > 250 {
				t.Errorf("1000 stages gave %d lines; finished ones must be collapsed", story)
			}
			if want := "666 ran, 334 from the cache\n"; !strings.Contains(stripansi.Strip(b.String()), want) {
				t.Errorf("%q is missing at the end", want)
			}
		})
	}
}

func TestPlainThrottle(t *testing.T) {
	c := newClock()
	var b bytes.Buffer
	v := Plain(&b, Options{Now: c.now, Interval: 5 * time.Second})
	v.Event(event.Event{Kind: event.StageStarted, Stage: "s"})
	for i := range 1000 {
		v.Event(event.Event{Kind: event.StageProgress, Stage: "s", Done: int64(i), Total: 1000})
		c.add(20 * time.Millisecond)
	}
	// 20 seconds: progress at 5, 10 and 15 s.
	if n := strings.Count(b.String(), "running"); n != 3 {
		t.Errorf("%d progress lines in 20 s at an interval of 5 s, want 3:\n%s", n, b.String())
	}
}

func TestJSONLines(t *testing.T) {
	var b lockedBuffer
	v := JSON(&b)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { fakeRun(v.Event, func(time.Duration) {}) })
	}
	wg.Wait()
	v.Event(event.Event{Kind: event.StageProgress, Stage: "s", Message: "a <b> & c", Values: map[string]float64{"loss": math.NaN(), "x": 1, "y": math.Inf(1)}})
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	var last map[string]any
	for line := range strings.Lines(b.String()) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kinds[last["kind"].(string)]++
	}
	if kinds["run_done"] != 8 || kinds["stage_failed"] != 8 {
		t.Errorf("events were lost: %v", kinds)
	}
	want := map[string]any{"loss": "NaN", "x": 1.0, "y": "+Inf"}
	if d := cmp.Diff(want, last["values"]); d != "" || last["message"] != "a <b> & c" {
		t.Errorf("last line %v: %s", last, d)
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrors(t *testing.T) {
	for name, v := range map[string]View{
		"json":  JSON(broken{}),
		"plain": Plain(broken{}, Options{}),
	} {
		fakeRun(v.Event, func(time.Duration) {})
		if err := v.Close(); !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v, want the writer's error", name, err)
		}
	}
	// mpb swallows the error; the view must still end.
	v := newLive(broken{}, Options{Refresh: time.Millisecond}, mpb.WithAutoRefresh())
	fakeRun(v.Event, func(time.Duration) { time.Sleep(100 * time.Microsecond) })
	if err := v.Close(); err != nil && !errors.Is(err, errBroken) {
		t.Errorf("live: %v", err)
	}
}

func TestFor(t *testing.T) {
	var b bytes.Buffer
	if _, ok := For(&b, true, true).(*jsonView); !ok {
		t.Error("asked for JSON on a terminal, got another view")
	}
	if _, ok := For(&b, false, false).(*plainView); !ok {
		t.Error("no terminal must give plain lines")
	}
	v, ok := For(&b, true, false).(*liveView)
	if !ok {
		t.Fatal("a terminal must give the live view")
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

func TestMeter(t *testing.T) {
	c := newClock()
	m := &meter{name: "s", started: c.now()}
	at := func(done, total int64, unit string, d time.Duration) {
		c.add(d)
		m.update(event.Event{Done: done, Total: total, Unit: unit}, c.now())
	}
	at(0, 100, "rows", 0)
	if r := m.perSecond(); r != 0 {
		t.Errorf("one sample gives no rate, got %v", r)
	}
	at(20, 100, "rows", 2*time.Second)
	if r := m.perSecond(); r != 10 {
		t.Errorf("20 rows in 2 s are 10/s, got %v", r)
	}
	if d, ok := m.left(c.now().Add(time.Second)); !ok || d != 7*time.Second {
		t.Errorf("80 rows at 10/s, one second ago: got %v, want 7 s", d)
	}
	at(5, 50, "steps", time.Second) // a new phase
	if r := m.perSecond(); r != 0 {
		t.Errorf("a new phase starts the rate anew, got %v", r)
	}
	for i := range 200 {
		at(int64(5+i), 0, "steps", time.Second)
	}
	if r := m.perSecond(); math.Abs(r-1) > 1e-9 {
		t.Errorf("1/s expected, got %v", r)
	}
	if _, ok := m.left(c.now()); ok {
		t.Error("without a total there is no time left to show")
	}
	if len(m.samples) > 60 {
		t.Errorf("%d samples are kept; old ones must go", len(m.samples))
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 s", 0: "0.0 s", 1234 * time.Millisecond: "1.2 s", 9990 * time.Millisecond: "9 s", 59 * time.Second: "59 s",
		60 * time.Second: "1m00s", 3599 * time.Second: "59m59s", 2*time.Hour + 5*time.Minute: "2h05m", 5000 * time.Hour: "weeks",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestLiveDemo shows the live view to a person: build the test binary with
// go test -c and run it on a terminal with DISTILLFLOW_VIEW_DEMO=1.
func TestLiveDemo(t *testing.T) {
	if os.Getenv("DISTILLFLOW_VIEW_DEMO") == "" {
		t.Skip("set DISTILLFLOW_VIEW_DEMO=1 and run the test binary on a terminal")
	}
	for _, run := range []func(event.Sink){
		func(s event.Sink) { fakeRun(s, time.Sleep) },
		func(s event.Sink) { fakeMany(s, 1000, 12, time.Sleep) },
	} {
		v := Live(os.Stdout, Options{})
		run(v.Event)
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}
