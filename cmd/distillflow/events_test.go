package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/flow/event"
)

// readEvents decodes the events in a file that `run --json` wrote.
func readEvents(ts *testscript.TestScript, file string) []event.Event {
	var events []event.Event
	for line := range strings.Lines(ts.ReadFile(file)) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			ts.Fatalf("%s: %v in %q", file, err, line)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		ts.Fatalf("%s holds no events", file)
	}
	return events
}

// cmdRan asserts which stages' code was invoked: `ran stdout [STAGE]...`.
func cmdRan(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ran FILE [STAGE]...")
	}
	assertStages(ts, event.StageStarted, args[0], args[1:])
}

// cmdEvents asserts which stages have an event of a kind: `events FILE KIND
// [STAGE]...`.
func cmdEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: events FILE KIND [STAGE]...")
	}
	assertStages(ts, event.Kind(args[1]), args[0], args[2:])
}

func assertStages(ts *testscript.TestScript, k event.Kind, file string, want []string) {
	var got []string
	for _, e := range readEvents(ts, file) {
		if e.Kind == k {
			got = append(got, e.Stage)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		ts.Fatalf("%s: %q, want %q", k, got, want)
	}
}

// cmdStatus asserts an exit status: `status N PROGRAM [ARG]...`.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM [ARG]...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}
