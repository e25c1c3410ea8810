package view

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"

	"github.com/distillflow/distillflow/flow/event"
)

type jsonView struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error
}

// JSON writes one event per line, as [event.Event] is encoded. Values that JSON
// has no number for, such as a loss of NaN, become strings.
func JSON(w io.Writer) View {
	v := &jsonView{enc: json.NewEncoder(w)}
	v.enc.SetEscapeHTML(false)
	return v
}

// jsonEvent hides the event's Values behind ones that can hold a string.
type jsonEvent struct {
	event.Event
	Values map[string]any `json:"values,omitempty"`
}

func (v *jsonView) Event(e event.Event) {
	j := jsonEvent{Event: e}
	if len(e.Values) > 0 {
		j.Values = make(map[string]any, len(e.Values))
		for name, x := range e.Values {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				j.Values[name] = strconv.FormatFloat(x, 'g', -1, 64)
			} else {
				j.Values[name] = x
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = v.enc.Encode(j)
	}
}

func (v *jsonView) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return fmt.Errorf("writing events: %w", v.err)
	}
	return nil
}
