package job

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
)

// Whatever a worker writes, its reader goes to the end and passes on nothing without content.
func FuzzRelay(f *testing.F) {
	f.Add(`{"progress":{"done":1}}` + "\nnoise\n" + `{"warning":"w"}` + "\n" + `{"result":{"rows":{"a":1}}}`)
	f.Add(`{"error":"x","final":true}` + "\n" + `{"result":null}` + "\n[]\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		r := strings.NewReader(text)
		last := Relay(r, exec.Hooks{Progress: func(stage.Progress) { n++ }, Warn: func(s string) {
			if n++; s == "" {
				t.Error("an empty warning")
			}
		}})
		if r.Len() > 0 || n > strings.Count(text, "\n")+1 {
			t.Errorf("%d messages, %d bytes left", n, r.Len())
		}
		if last.Result == nil && last.Error == "" && last.Progress != nil {
			t.Errorf("the last message is %+v", last)
		}
	})
}
