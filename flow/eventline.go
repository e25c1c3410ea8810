package flow

import (
	"strconv"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

// appendHit appends an event as encoding/json writes it, if it is a plain
// stage_hit: in an all-cached run of many stages these are all there is to write,
// and general encoding would take longer than looking the stages up. False, and b
// as it was, for any other event.
func appendHit(b []byte, e *event.Event) ([]byte, bool) {
	if e.Kind != event.StageHit || len(e.Outputs) > 1 || e.Message != "" || e.Error != "" || e.Unit != "" ||
		e.Done != 0 || e.Total != 0 || e.Seconds != 0 || len(e.Values) != 0 || e.Time.Year() < 1 || e.Time.Year() > 9999 {
		return b, false
	}
	for _, s := range []string{e.Run, e.Stage, e.Type, e.Key, e.Reason} {
		if !plain(s) {
			return b, false
		}
	}
	for port, o := range e.Outputs {
		if !plain(port) || !plain(o.Digest) || !plain(o.Path) {
			return b, false
		}
	}
	b = append(b, `{"time":"`...)
	b = e.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(append(b, `","kind":"`...), e.Kind...)
	b = append(b, '"')
	text := func(name, v string) {
		if v != "" {
			b = append(append(append(append(append(b, `,"`...), name...), `":"`...), v...), '"')
		}
	}
	number := func(name string, v int64) {
		if v != 0 {
			b = strconv.AppendInt(append(append(append(b, `,"`...), name...), `":`...), v, 10)
		}
	}
	text("run", e.Run)
	text("stage", e.Stage)
	text("type", e.Type)
	text("key", e.Key)
	text("reason", e.Reason)
	for port, o := range e.Outputs { // one at most, so there is no order to keep
		b = append(append(append(b, `,"outputs":{"`...), port...), `":{"digest":"`...)
		b = append(append(b, o.Digest...), '"')
		number("rows", o.Rows)
		number("bytes", o.Bytes)
		text("path", o.Path)
		b = append(b, "}}"...)
	}
	return append(b, "}\n"...), true
}

// plain reports whether a text needs no escapes in JSON.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
