package flow_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/store"
)

const two = `
stages:
  a: {uses: read, with: {file: words.txt}}
  x: {uses: await, from: a, with: {tag: x}}
  y: {uses: await, from: a, with: {tag: y}}
`

// commanded runs a recipe, one stage at a time. It sends commands while the first await stage runs, each
// when the one before is answered, and then calls next.
func commanded(t *testing.T, b *bench, next func(st *store.Store, id string), cmds ...event.Command) (*log, *flow.Result, error) {
	t.Helper()
	answered := make(chan struct{}, 10)
	var id string
	sink := func(e event.Event) {
		switch e.Kind {
		case event.RunStarted:
			id = e.Run
		case event.RunControl:
			answered <- struct{}{}
		}
	}
	go func() {
		<-b.gate.changed
		st, err := store.Open(b.path(".distillflow"), store.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		defer st.Close()
		for _, c := range cmds {
			if err := flow.Send(st, id, c); err != nil {
				t.Error(err)
			}
			<-answered
		}
		next(st, id)
	}()
	return b.runCtx(context.Background(), flow.RunOptions{Jobs: 1, Sink: sink})
}

func TestAPausedRunStartsNothing(t *testing.T) {
	b := newBench(t, two)
	l, res, err := commanded(t, b, func(st *store.Store, id string) {
		close(b.gate.open)
		time.Sleep(200 * time.Millisecond) // x ends
		select {
		case <-b.gate.changed:
			t.Error("y started in a paused run")
		default:
		}
		if err := flow.Send(st, id, event.Command{Action: event.Resume}); err != nil {
			t.Error(err)
		}
	}, event.Command{ID: "1", Action: event.Pause})
	if err != nil || res.Outcome.States["y"] != exec.Done {
		t.Errorf("%v, %v", res.Outcome.States, err)
	}
	var told []string
	for _, e := range l.events {
		if e.Kind == event.RunControl {
			told = append(told, e.Message)
		}
	}
	if got := strings.Join(told, "; "); got != "paused: no stage starts and no request goes out; resumed" {
		t.Errorf("told %q", got)
	}
}

// A stopped run ends as an interrupted one, also when it is paused.
func TestARunIsStopped(t *testing.T) {
	for _, cmds := range [][]event.Command{{{Action: event.Stop}}, {{Action: event.Pause}, {Action: event.Stop}}} {
		b := newBench(t, two)
		_, res, err := commanded(t, b, func(*store.Store, string) {}, cmds...)
		if !errors.Is(err, flow.ErrStopped) || res.Outcome.States["x"] != exec.Stopped || res.Outcome.States["y"] != exec.Stopped {
			t.Errorf("%v, %v", res.Outcome.States, err)
		}
		st, err := store.Open(b.path(".distillflow"), store.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if info, err := st.Run(res.ID); err != nil || info.Status != "interrupted" {
			t.Errorf("status %q, %v", info.Status, err)
		}
	}
}

// What a run cannot do is answered, and harms nothing.
func TestCommandsThatAreRefused(t *testing.T) {
	for want, c := range map[string]event.Command{
		`there is no command "halt"`:               {Action: "halt"},
		"pause is for the whole run":               {Action: event.Pause, Stage: "x"},
		"the run has no stage z":                   {Action: event.Set, Stage: "z", Field: "rpm", Value: 1},
		"stage y has not started; running: x":      {Action: event.Set, Stage: "y", Field: "rpm", Value: 1},
		"nothing of await can be changed while it": {Action: event.Set, Stage: "x", Field: "tag", Value: 1},
	} {
		b := newBench(t, two)
		l, _, err := commanded(t, b, func(*store.Store, string) { close(b.gate.open) }, c)
		if err != nil {
			t.Error(err)
		}
		found := false
		for _, e := range l.events {
			found = found || e.Kind == event.RunControl && strings.HasPrefix(e.Error, want) && e.Stage == ""
		}
		if !found {
			t.Errorf("no %q in %+v", want, l.events)
		}
	}
}

func TestACommandThatCannotBeRead(t *testing.T) {
	b := newBench(t, two)
	l, _, err := commanded(t, b, func(st *store.Store, id string) {
		f, err := os.OpenFile(filepath.Join(st.RunDir(id), "control.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("{\"id\n{\"half\":")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		close(b.gate.open)
	}, event.Command{Action: event.Resume})
	if err != nil {
		t.Error(err)
	}
	n := 0
	for _, e := range l.events {
		if e.Kind == event.RunControl {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d answers, want one to each whole line", n)
	}
}
