package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/schema"
)

func TestSummaryLines(t *testing.T) {
	style := func(task, style string, accuracy float64) schema.Accuracy {
		return schema.Accuracy{Task: task, Style: style, Paths: 10, Accuracy: accuracy, Low: .1, High: .9}
	}
	score := func(system, kind, task string, accuracy float64) schema.Score {
		return schema.Score{System: system, Kind: kind, Task: task, Count: 10, Accuracy: accuracy, Low: .1, High: .9}
	}
	arm := func(name, system string, accuracy float64) schema.ArmScore {
		return schema.ArmScore{Arm: name, System: system, Accuracy: accuracy, Low: .1, High: .9}
	}
	var many []schema.Score
	for i := range maxSystems + 2 {
		many = append(many, score(fmt.Sprint("s", i), "trained", "t", .5))
	}
	grouped := score("a", "trained", "t", 1)
	grouped.Group = "level=1"
	for _, c := range []struct{ got, want string }{
		{teacherLine(nil), ""},
		{teacherLine([]schema.Accuracy{style("t", "all", .5), style("t", "cot", .4), style("t", "code", .6)}),
			"t 50.0 % of 10 paths right (10.0 to 90.0); most in code (60.0 %), least in cot (40.0 %)"},
		{teacherLine([]schema.Accuracy{style("t", "all", .5), style("t", "cot", .5)}), "t 50.0 % of 10 paths right (10.0 to 90.0)"},
		{teacherLine([]schema.Accuracy{style("t", "all", .5), style("t", "cot", .5), style("u\x1b[2J", "all", 1), style("u", "cot", 1)}),
			"t 50.0 % of 10 paths right (10.0 to 90.0); u [2J 100.0 % of 10 paths right (10.0 to 90.0)"},
		{studentsLine(nil), ""},
		{studentsLine([]schema.Score{score("a", "untrained", "t", .1), score("a", "trained", "t", .5), grouped, score("ensemble", "ensemble", "t", .6), score("majority", "baseline", "t", .2)}),
			"a 50.0 % (10.0 to 90.0), untrained 10.0 %; ensemble 60.0 % (10.0 to 90.0)"},
		{studentsLine([]schema.Score{score("a", "trained", "t", .5), score("a", "trained", "u", .6)}),
			"t a 50.0 % (10.0 to 90.0); u a 60.0 % (10.0 to 90.0)"},
		{studentsLine(many)[strings.LastIndex(studentsLine(many), ";"):], "; and 2 more"},
		{armsLine([]schema.ArmScore{arm("full", "mean", .5), arm("full", "a", .9), arm("none", "mean", .4)}), "full 50.0 % (10.0 to 90.0), the best of 2"},
		{armsLine([]schema.ArmScore{arm("full", "mean", .5), arm("none", "mean", .6)}), "full 50.0 % (10.0 to 90.0); the best of 2 is none 60.0 % (10.0 to 90.0)"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
	var rates []schema.Rate
	for i := range maxStudents {
		rates = append(rates, schema.Rate{Style: "cot", Student: fmt.Sprint(i)})
	}
	if !small(rates) || small(append(rates, schema.Rate{Student: "one more"})) {
		t.Error("the bound on students")
	}
}

func TestMade(t *testing.T) {
	var r runrecord.Run
	for i, saved := range []string{"", "", "out/a", "out/b", "else/c", "1/x", "2/x", "3/x"} {
		s := &runrecord.Stage{Name: fmt.Sprint("s", i), Outputs: []runrecord.Output{{Saved: saved}}}
		if i > 0 {
			s.Inputs = []runrecord.Input{{Stage: r.Stages[0]}}
		}
		r.Stages = append(r.Stages, s)
	}
	if got, want := madeLine(&r), "out/ (2 outputs), else/c, 1/x, 2/x, and 1 more folders; in the store: s1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCostLine(t *testing.T) {
	r := runrecord.Run{Stages: []*runrecord.Stage{
		{Stats: map[string]float64{"requests": 5, "calls": 3, "memo_hits": 2, "usd": 1, "calls_per_second": 9}},
		{Stats: map[string]float64{"failed": 7}}, // counts something else
		{Stats: map[string]float64{"requests": 2, "calls": 2, "usd": .5, "errors_rate": 1}},
	}}
	if got, want := costLine(&r), "5 calls, 2 from the memo, $1.50, errors: rate 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLogLine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for _, c := range []struct {
		e    event.Event
		want string
	}{
		{event.Event{Kind: event.RunStarted, Message: "r.yaml", Total: 3}, "run      r.yaml, 3 stages"},
		{event.Event{Kind: event.StageStarted, Stage: "a", Type: "scan", Reason: "never run"}, "start    a (scan): never run"},
		{event.Event{Kind: event.StageProgress, Stage: "a", Done: 3, Total: 9, Unit: "rows", Values: map[string]float64{"loss": 1.5}}, "running  a: 3 of 9 rows; loss 1.5"},
		{event.Event{Kind: event.StageProgress, Stage: "a"}, "running  a"},
		{event.Event{Kind: event.StagePlaced, Stage: "a", Message: "job 1"}, "placed   a: job 1"},
		{event.Event{Kind: event.StageWarning, Stage: "a\x1b[2J", Message: "b\x1b[2J\n"}, "warning  a [2J: b [2J"},
		{event.Event{Kind: event.StageFailed, Stage: "a", Error: "one\n  two\x1b[0m\n"}, "failed   a: one\n                              two [0m"},
		{event.Event{Kind: event.StageSaved, Stage: "a", Outputs: map[string]event.Output{"y": {Path: "out/y"}, "x": {Path: "out/x"}}}, "saved    a: out/x, out/y"},
		{event.Event{Kind: event.RunDone, Seconds: 61, Error: "1 error occurred:\n\t* x"}, "end      after 1m01s; 1 error occurred:"},
		{event.Event{Kind: "stage_paused", Stage: "a", Message: "by hand"}, "stage_paused a: by hand"},
	} {
		c.e.Time = at
		if got, want := LogLine(c.e), "2026-01-02 03:04:05  "+c.want+"\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
