package flow

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
)

// Every whole line of the file of commands is answered once, whatever it holds.
func FuzzControl(f *testing.F) {
	f.Add(`{"id":"a","action":"pause"}` + "\n" + `{"action":"set","stage":"x","field":"y","value":1e999}` + "\n{")
	f.Add("\n\n null\n[]\n" + `{"action":"stop","stage":"x"}` + "\n")
	f.Add(strings.Repeat("[", 20_000) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), controlFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stop := context.WithCancelCause(t.Context())
		c := &controller{control: &stage.Control{}, graph: &graph.Graph{}, stop: stop, path: path, states: map[string]event.Kind{}}
		n := 0
		sink := func(e event.Event) {
			n++
			if e.Kind != event.RunControl || e.Error == "" && e.Message == "" {
				t.Errorf("%+v says nothing", e)
			}
		}
		c.poll(sink)
		c.poll(sink)
		if want := strings.Count(text, "\n"); len(text) < 1<<20 && n != want {
			t.Errorf("%d answers to %d lines", n, want)
		}
	})
}
