// Package telemetry tells programs that watch from outside how a run goes: Prometheus,
// which asks, and a collector of OpenTelemetry traces, which is told. Both live on the
// events of the run, and neither can fail it.
package telemetry

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/distillflow/distillflow/flow/event"
)

// Metrics are the figures of one run. Event is an [event.Sink]; as an [http.Handler] it
// answers in Prometheus' text format, version 0.0.4. The zero value is ready.
type Metrics struct {
	mu     sync.Mutex
	run    event.Event // how it started
	ended  bool
	paused bool
	stages map[string]*figures
}

// figures are those of one stage.
type figures struct {
	state       string
	unit        string
	done, total int64
	values      map[string]float64
	rows        map[string]int64 // by port
}

// states are those a stage can be in, as other commands name them.
var states = []string{"waiting", "running", "hit", "ran", "failed", "skipped", "stopped"}

// Event takes an event.
func (m *Metrics) Event(e event.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case event.RunStarted:
		m.run = e
		return
	case event.RunDone:
		m.ended = true
		return
	case event.RunControl:
		if e.Error == "" && e.Command != nil && e.Command.Action != event.Set {
			m.paused = e.Command.Action == event.Pause
		}
		return
	}
	if e.Stage == "" {
		return
	}
	if m.stages == nil {
		m.stages = map[string]*figures{}
	}
	f := m.stages[e.Stage]
	if f == nil {
		f = &figures{state: "waiting", rows: map[string]int64{}}
		m.stages[e.Stage] = f
	}
	if state := stateOf(e.Kind); state != "" {
		f.state = state
	}
	if e.Kind == event.StageProgress {
		f.done, f.total, f.unit = e.Done, e.Total, e.Unit
	}
	if len(e.Values) > 0 {
		f.values = e.Values
	}
	for port, o := range e.Outputs {
		if e.Kind == event.StageDone {
			f.rows[port] = o.Rows
		}
	}
}

// stateOf is the state that an event brings a stage into; "" for none.
func stateOf(k event.Kind) string {
	switch k {
	case event.StageStarted:
		return "running"
	case event.StageHit:
		return "hit"
	case event.StageDone:
		return "ran"
	case event.StageFailed:
		return "failed"
	case event.StageSkipped:
		return "skipped"
	case event.StageStopped:
		return "stopped"
	}
	return ""
}

// family is one metric of all stages.
type family struct {
	name, help, typ string
	samples         []string // labels and value
}

func (f *family) add(v float64, labels ...string) {
	var b strings.Builder
	for i := 0; i < len(labels); i += 2 {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&b, `%s="%s"`, labels[i], escape.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		b.WriteString("}")
	}
	f.samples = append(f.samples, b.String()+" "+strconv.FormatFloat(v, 'g', -1, 64))
}

// escape is how the text format writes the value of a label.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (m *Metrics) families() []*family {
	m.mu.Lock()
	defer m.mu.Unlock()
	info := &family{name: "distillflow_run_info", help: "The run; its value is 1 while it goes on and 0 after.", typ: "gauge"}
	if m.run.Kind != "" {
		info.add(map[bool]float64{true: 0, false: 1}[m.ended], "run", m.run.Run, "recipe", m.run.Message)
	}
	paused := &family{name: "distillflow_run_paused", help: "1 while the run is paused.", typ: "gauge"}
	paused.add(map[bool]float64{true: 1, false: 0}[m.paused])
	byState := map[string]float64{"waiting": float64(m.run.Total)}
	done := &family{name: "distillflow_stage_done", help: "How far a running stage is, in its unit.", typ: "gauge"}
	total := &family{name: "distillflow_stage_total", help: "Where a running stage ends, in its unit; missing where unknown.", typ: "gauge"}
	rows := &family{name: "distillflow_rows_total", help: "Rows that a stage made.", typ: "counter"}
	requests := &family{name: "distillflow_requests_total", help: "Requests sent to providers, retries among them.", typ: "counter"}
	hits := &family{name: "distillflow_memo_hits_total", help: "Answers taken from the memo.", typ: "counter"}
	retries := &family{name: "distillflow_retries_total", help: "Requests sent again.", typ: "counter"}
	errs := &family{name: "distillflow_request_errors_total", help: "Requests that failed, by kind.", typ: "counter"}
	tokens := &family{name: "distillflow_tokens_total", help: "Tokens of bought prompts and answers.", typ: "counter"}
	cost := &family{name: "distillflow_cost_usd_total", help: "Dollars, where prices are known.", typ: "counter"}
	for _, name := range slices.Sorted(maps.Keys(m.stages)) {
		f := m.stages[name]
		if f.state != "waiting" {
			byState[f.state]++
			byState["waiting"]--
		}
		if f.state == "running" && f.unit != "" {
			done.add(float64(f.done), "stage", name, "unit", f.unit)
			if f.total > 0 {
				total.add(float64(f.total), "stage", name, "unit", f.unit)
			}
		}
		for _, port := range slices.Sorted(maps.Keys(f.rows)) {
			rows.add(float64(f.rows[port]), "stage", name, "port", port)
		}
		if _, asks := f.values["calls"]; !asks {
			continue
		}
		v := f.values
		requests.add(v["calls"], "stage", name)
		hits.add(v["memo_hits"], "stage", name)
		retries.add(v["retries"], "stage", name)
		tokens.add(cmp.Or(v["tokens"], v["prompt_tokens"]+v["completion_tokens"]), "stage", name)
		cost.add(v["usd"], "stage", name)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if kind, ok := strings.CutPrefix(key, "errors_"); ok {
				errs.add(v[key], "stage", name, "kind", kind)
			}
		}
	}
	stages := &family{name: "distillflow_stages", help: "Stages by state.", typ: "gauge"}
	for _, s := range states {
		stages.add(max(byState[s], 0), "state", s)
	}
	return []*family{info, paused, stages, done, total, rows, requests, hits, retries, errs, tokens, cost}
}

// ServeHTTP implements [http.Handler].
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, f := range m.families() {
		if len(f.samples) == 0 {
			continue
		}
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.typ)
		for _, s := range f.samples {
			fmt.Fprintf(w, "%s%s\n", f.name, s)
		}
	}
}
