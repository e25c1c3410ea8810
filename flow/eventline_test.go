package flow

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

func TestAppendHitWritesWhatJSONWrites(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 891_000, time.FixedZone("", 5400))
	one := map[string]event.Output{"rows": {Digest: "sha256:ab", Rows: 3, Bytes: 40}}
	for name, tt := range map[string]struct {
		e    event.Event
		want bool // whether it is one of the events that are written by hand
	}{
		"usual":          {event.Event{Time: now, Kind: event.StageHit, Run: "r", Stage: "s", Type: "t", Key: "k", Reason: "cached", Outputs: one}, true},
		"bare":           {event.Event{Time: now.UTC(), Kind: event.StageHit}, true},
		"empty output":   {event.Event{Time: now, Kind: event.StageHit, Outputs: map[string]event.Output{"o": {}}}, true},
		"path":           {event.Event{Time: now, Kind: event.StageHit, Outputs: map[string]event.Output{"o": {Path: "a b<c>&"}}}, true},
		"matrix leg":     {event.Event{Time: now, Kind: event.StageHit, Stage: "s[x=1, y=a/b]"}, true},
		"quote":          {event.Event{Time: now, Kind: event.StageHit, Stage: `a"b`}, false},
		"backslash":      {event.Event{Time: now, Kind: event.StageHit, Outputs: map[string]event.Output{"o": {Path: `a\b`}}}, false},
		"not ASCII":      {event.Event{Time: now, Kind: event.StageHit, Stage: "é\u2028"}, false},
		"control":        {event.Event{Time: now, Kind: event.StageHit, Reason: "a\tb"}, false},
		"two outputs":    {event.Event{Time: now, Kind: event.StageHit, Outputs: map[string]event.Output{"b": {}, "a": {}}}, false},
		"another kind":   {event.Event{Time: now, Kind: event.StageDone, Stage: "s", Seconds: 1}, false},
		"a message":      {event.Event{Time: now, Kind: event.StageHit, Message: "m"}, false},
		"figures":        {event.Event{Time: now, Kind: event.StageHit, Values: map[string]float64{"usd": 1}}, false},
		"with a counter": {event.Event{Time: now, Kind: event.StageHit, Done: 1, Total: 2, Unit: "rows"}, false},
	} {
		before := []byte("before ")
		got, ok := appendHit(before, &tt.e)
		if ok != tt.want {
			t.Errorf("%s: written by hand: %v", name, ok)
		}
		want := before
		if ok {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(tt.e); err != nil {
				t.Fatal(err)
			}
			want = append(bytes.Clone(before), buf.Bytes()...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}
