package telemetry

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// story is a run of four stages: one from the cache, one that failed, one that runs and
// one that has not started.
var story = []event.Event{
	{Time: at, Kind: event.RunStarted, Run: "r1", Total: 4, Message: `a "b".yaml`},
	{Time: at, Kind: event.StageHit, Stage: "problems"},
	{Time: at, Kind: event.StageStarted, Stage: "judged", Type: "judge"},
	{Time: at.Add(time.Second), Kind: event.StageFailed, Stage: "judged", Type: "judge", Error: "boom", Values: map[string]float64{"calls": 2, "prompt_tokens": 3, "completion_tokens": 4, "usd": 0.5}},
	{Time: at, Kind: event.StageStarted, Stage: "replies", Type: "batch-llm"},
	{Time: at, Kind: event.StageProgress, Stage: "replies", Done: 5, Total: 9, Unit: "rows",
		Values: map[string]float64{"calls": 7, "memo_hits": 1, "tokens": 70, "errors_rate": 2, "retries": 2}},
	{Time: at, Kind: event.RunControl, Command: &event.Command{Action: event.Pause}},
}

func TestMetrics(t *testing.T) {
	m := &Metrics{}
	url, stop, err := Serve("127.0.0.1:0", m)
	if err != nil {
		t.Fatal(err)
	}
	get := func() string {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res.Status, err)
		}
		return string(b)
	}
	get() // before the run there is little, and no mistake
	for _, e := range story {
		m.Event(e)
	}
	got := get()
	for _, want := range []string{
		`distillflow_run_info{run="r1",recipe="a \"b\".yaml"} 1`, "distillflow_run_paused 1",
		"# HELP distillflow_stages Stages by state.\n# TYPE distillflow_stages gauge\n" +
			`distillflow_stages{state="waiting"} 1` + "\n" + `distillflow_stages{state="running"} 1` + "\n" + `distillflow_stages{state="hit"} 1`,
		`distillflow_stages{state="failed"} 1`,
		`distillflow_stage_done{stage="replies",unit="rows"} 5`, `distillflow_stage_total{stage="replies",unit="rows"} 9`,
		`distillflow_requests_total{stage="replies"} 7`, `distillflow_requests_total{stage="judged"} 2`,
		`distillflow_retries_total{stage="replies"} 2`, `distillflow_request_errors_total{stage="replies",kind="rate"} 2`,
		`distillflow_tokens_total{stage="judged"} 7`, `distillflow_tokens_total{stage="replies"} 70`, `distillflow_cost_usd_total{stage="judged"} 0.5`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	m.Event(event.Event{Kind: event.StageDone, Stage: "replies", Outputs: map[string]event.Output{"replies": {Rows: 9}}})
	m.Event(event.Event{Kind: event.RunDone})
	for _, want := range []string{`distillflow_rows_total{stage="replies",port="replies"} 9`, `distillflow_run_info{run="r1",recipe="a \"b\".yaml"} 0`, `distillflow_requests_total{stage="replies"} 7`} {
		if got := get(); !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := Serve("127.0.0.1:-1", m); err == nil {
		t.Error("no error of an address that cannot be")
	}
}

func TestTraces(t *testing.T) {
	var body []byte
	var header http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/otlp/v1/traces" {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": srv.URL + "/otlp/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, x-other = c", "OTEL_SERVICE_NAME": "mine"}
	getenv := func(name string) string { return env[name] }
	tr := NewTraces(getenv)
	if err := tr.Send(); err != nil || body != nil {
		t.Errorf("a run that did not start was sent: %s, %v", body, err)
	}
	for _, e := range story {
		tr.Event(e)
	}
	tr.Event(event.Event{Time: at.Add(3 * time.Second), Kind: event.RunDone, Error: "stage judged: boom"})
	if err := tr.Send(); err != nil {
		t.Fatal(err)
	}
	if header.Get("X-Key") != "a b" || header.Get("X-Other") != "c" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", header)
	}
	var got struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []span }
		}
	}
	if err := json.Unmarshal(body, &got); err != nil || !strings.Contains(string(body), `"service.name","value":{"stringValue":"mine"}`) {
		t.Fatalf("%s, %v", body, err)
	}
	spans := got.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 2 {
		t.Fatalf("%s", body)
	}
	root, child := spans[0], spans[1]
	if root.Parent != "" || child.Parent != root.SpanID || child.TraceID != root.TraceID || len(root.TraceID) != 32 || len(child.SpanID) != 16 {
		t.Errorf("ids: %s", body)
	}
	if child.Name != "judged" || child.Status.Code != 2 || child.Status.Message != "boom" || child.Start != "1767323045000000000" || child.End != "1767323046000000000" {
		t.Errorf("%+v", child)
	}

	// What goes wrong is an error for a warning, never more.
	env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = srv.URL + "/elsewhere"
	bad := NewTraces(getenv)
	bad.Event(event.Event{Kind: event.RunDone})
	if err := bad.Send(); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v", err)
	}
	env["OTEL_SDK_DISABLED"] = "true"
	none := NewTraces(getenv)
	none.Event(event.Event{Kind: event.RunDone})
	if err := errors.Join(none.Send(), NewTraces(func(string) string { return "" }).Send()); none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
}

// A page elsewhere can give its own name the address of the loopback interface.
func TestMetricsKnowTheirName(t *testing.T) {
	url, stop, err := Serve("127.0.0.1:0", &Metrics{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stop() }()
	for host, status := range map[string]int{
		"": 200, "localhost:1": 200, "[::1]": 200, "evil.example": 421, "evil.example:9464": 421, "localhost.evil.example": 421, "192.0.2.7": 421,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != status {
			t.Errorf("host %q: status %d, want %d", host, res.StatusCode, status)
		}
	}
	// Other interfaces are for others, who have names of their own for this machine.
	if h := local(&Metrics{}, &net.TCPAddr{IP: net.IPv4zero, Port: 1}); h != http.Handler(h.(*Metrics)) {
		t.Error("a server on all interfaces checks names")
	}
}
