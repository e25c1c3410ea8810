package telemetry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

// sendWithin bounds how long a collector may keep a run from ending.
const sendWithin = 5 * time.Second

// Traces makes a run a trace: the run is the root span, and each stage that ran is a child
// of it. Event is an [event.Sink].
type Traces struct {
	url     string
	headers http.Header
	service string

	mu    sync.Mutex
	trace string
	root  span
	began map[string]time.Time
	spans []span
}

// NewTraces reads the environment as the OpenTelemetry specification says. Without
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT it gives nil, and so
// it does where OTEL_SDK_DISABLED is true.
func NewTraces(getenv func(string) string) *Traces {
	url := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); url == "" && base != "" {
		url = strings.TrimRight(base, "/") + "/v1/traces"
	}
	if url == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return nil
	}
	t := &Traces{url: url, headers: http.Header{}, service: cmp.Or(getenv("OTEL_SERVICE_NAME"), "distillflow"), began: map[string]time.Time{}}
	t.trace, t.root.SpanID = random(16), random(8)
	for pair := range strings.SplitSeq(cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), getenv("OTEL_EXPORTER_OTLP_HEADERS")), ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			t.headers.Set(strings.TrimSpace(name), unescaped(strings.TrimSpace(value)))
		}
	}
	return t
}

func unescaped(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// The JSON form of OTLP: ids in hex, 64-bit numbers as text.
type span struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	Parent     string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"` // 1: internal
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []attribute `json:"attributes,omitempty"`
	Status     struct {
		Code    int    `json:"code"` // 1: ok, 2: error
		Message string `json:"message,omitempty"`
	} `json:"status"`
}

type attribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

func textAttribute(key, v string) attribute {
	return attribute{key, map[string]any{"stringValue": v}}
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// Event takes an event. A nil *Traces takes none.
func (t *Traces) Event(e event.Event) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Kind {
	case event.RunStarted:
		t.root.Name, t.root.Start = "run "+e.Message, nanos(e.Time)
		t.root.Attributes = []attribute{textAttribute("distillflow.run", e.Run), textAttribute("distillflow.recipe", e.Message)}
	case event.RunDone:
		t.root.end(e)
	case event.StageStarted:
		t.began[e.Stage] = e.Time
	case event.StageDone, event.StageFailed, event.StageStopped:
		began, ran := t.began[e.Stage]
		if !ran {
			return
		}
		delete(t.began, e.Stage)
		s := span{SpanID: random(8), Parent: t.root.SpanID, Name: e.Stage, Start: nanos(began)}
		s.Attributes = []attribute{textAttribute("distillflow.stage.type", e.Type), textAttribute("distillflow.stage.key", e.Key), textAttribute("distillflow.stage.state", stateOf(e.Kind))}
		for _, name := range slices.Sorted(maps.Keys(e.Values)) {
			s.Attributes = append(s.Attributes, attribute{"distillflow.stats." + name, map[string]any{"doubleValue": e.Values[name]}})
		}
		s.end(e)
		t.spans = append(t.spans, s)
	}
}

func (s *span) end(e event.Event) {
	s.End, s.Status.Code = nanos(e.Time), 1
	if e.Error != "" {
		s.Status.Code, s.Status.Message = 2, e.Error
	}
}

// Send hands the trace of a run that has ended to the collector. A run that did not start
// has none.
func (t *Traces) Send() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root.End == "" {
		return nil
	}
	all := append([]span{t.root}, t.spans...)
	for i := range all {
		all[i].TraceID, all[i].Kind = t.trace, 1
	}
	body, err := json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource":   map[string]any{"attributes": []attribute{textAttribute("service.name", t.service)}},
		"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "distillflow"}, "spans": all}},
	}}})
	if err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin) // also after an interrupt
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	req.Header = t.headers.Clone()
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // so that the connection ends well
	if res.StatusCode >= 300 {
		return fmt.Errorf("traces: the collector at %s answers %s", req.URL.Redacted(), res.Status)
	}
	return nil
}
