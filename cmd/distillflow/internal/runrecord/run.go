package runrecord

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// Run is one run. It is not safe for concurrent use.
type Run struct {
	store.RunInfo
	Given    flow.RunData   // how the recipe was read: seed, profile, given params, environment, pins
	Resolved flow.RunRecipe // what that gave: name, all params; and the machine. Empty for old runs
	Stages   []*Stage       // in the order of the graph; for old runs, of their first event
	Seconds  float64        // from start to end, or until now
	Error    string         // why the run failed; the errors of stages stand with them
	Paused   bool           // somebody paused it by a command, and it goes on
	Answers  []event.Event  // to the latest few commands, oldest first
	// Warnings are those of the run as a whole, such as damage in the store.
	Warnings []Warning

	st     *store.Store
	reg    *stage.Registry
	byName map[string]*Stage
	next   int64 // where the events go on

	checked bool // the files of the record are what the run wrote

	lastEvent time.Time
}

// maxAnswers bounds the answers to commands that are kept; the log has all.
const maxAnswers = 5

// State is what became of a stage.
type State string

// The states.
const (
	Waiting State = "waiting" // for its inputs, its turn, or another process; Reason says so
	Running State = "running"
	Hit     State = "hit"     // the cache held the result
	Ran     State = "ran"     // it ran and its result is published
	Failed  State = "failed"  // Error says why
	Skipped State = "skipped" // when: was false, or something upstream failed or was skipped
	Stopped State = "stopped" // the run ended before the stage did
)

// Over reports whether nothing more happens to a stage in this state.
func (s State) Over() bool { return s != Waiting && s != Running }

// Stage is one stage of a run.
type Stage struct {
	Name   string
	Type   string
	With   json.RawMessage // the fields that the recipe gives, resolved; nil for none or an old run
	Inputs []Input         // in the order of the ports
	State  State
	Reason string // why it ran, was cached, skipped or waits
	Key    string // action key; "" if it was not reached

	Started, Ended time.Time // in this run; zero for what was not
	Seconds        float64   // it ran in this run
	// Stats are the figures of a stage that ran, also of one that failed: calls, memo_hits, prompt_tokens,
	// completion_tokens, usd, and what its type counts. See [Run.Made] for those of a hit.
	Stats    map[string]float64
	Outputs  []Output // in the order of the ports, the default output first
	Warnings []Warning
	Error    string
	// Progress is how far a running stage is; nil when that is not known.
	Progress *event.Event
}

// Input is one edge: an output of another stage feeds a port.
type Input struct {
	Port   string
	Stage  *Stage
	Output string
}

// Output is one published output of a stage.
type Output struct {
	Stage  string
	Port   string
	Kind   store.OutputKind // "" for a stage type that this program does not know
	Record string           // record type of rows; "" where unknown
	Digest store.Digest
	Rows   int64
	Bytes  int64
	Saved  string // where save: put it; "" for nowhere
}

// Label names an output as recipes write it.
func (o Output) Label() string { return o.Stage + "." + o.Port }

// Warning is a message and how often it came.
type Warning struct {
	Time    time.Time // of the first
	Message string
	Count   int
}

// Open reads the record of a run. reg tells the record types of outputs. The error wraps
// [store.ErrNotFound] if there is no such run.
func Open(st *store.Store, reg *stage.Registry, id string) (*Run, error) {
	if _, err := st.Run(id); err != nil {
		return nil, err
	}
	r := &Run{st: st, reg: reg, byName: map[string]*Stage{}}
	r.ID = id
	recipe, err := flow.ReadRunRecipe(st, id)
	if err != nil {
		return nil, err
	}
	if recipe != nil {
		r.Resolved = *recipe
	}
	for _, s := range r.Resolved.Stages {
		n := r.stage(s.Name, s.Type)
		n.With = secret.MaskJSON(s.With)
		for _, in := range s.Inputs {
			if src := r.byName[in.Stage]; src != nil {
				n.Inputs = append(n.Inputs, Input{Port: in.Port, Stage: src, Output: in.Output})
			}
		}
	}
	for i, p := range r.Resolved.Params {
		r.Resolved.Params[i].Value = maskedParam(p.Name, p.Value)
	}
	if _, err := r.Refresh(); err != nil {
		return nil, err
	}
	return r, nil
}

// Dir is the run's folder.
func (r *Run) Dir() string { return r.st.RunDir(r.ID) }

// ReportPath is where the run's report lies, if it has one.
func (r *Run) ReportPath() string { return filepath.Join(r.Dir(), "report.html") }

// Live reports whether the run goes on.
func (r *Run) Live() bool { return r.Status == store.RunRunning }

// Stage finds a stage by name, or nil.
func (r *Run) Stage(name string) *Stage { return r.byName[name] }

// Class is the class of a stage's type; "" for a type that this program does not know.
func (r *Run) Class(s *Stage) stage.Class {
	if t, ok := r.reg.Lookup(s.Type); ok {
		return t.Class
	}
	return ""
}

// Output finds an output of the stage; port "" is the default one. ok is false while
// the stage has not made it.
func (s *Stage) Output(port string) (o Output, ok bool) {
	i := slices.IndexFunc(s.Outputs, func(o Output) bool { return port == "" || o.Port == port })
	if i < 0 {
		return Output{}, false
	}
	return s.Outputs[i], true
}

// RowsIn is the number of rows that the stage reads, of all its inputs together.
func (s *Stage) RowsIn() int64 {
	var n int64
	for _, in := range s.Inputs {
		if o, ok := in.Stage.Output(in.Output); ok {
			n += o.Rows
		}
	}
	return n
}

// Refresh takes in what happened since the run was read and reports whether anything
// did.
func (r *Run) Refresh() (changed bool, err error) {
	// The status first: of a run that has ended the events are complete.
	info, err := r.st.Run(r.ID)
	if err != nil {
		return false, err
	}
	status := r.Status
	if status == "" && len(info.Data) > 0 { // the first time
		if err := json.Unmarshal(info.Data, &r.Given); err != nil {
			return false, fmt.Errorf("run %s: its data: %w: %w", r.ID, store.ErrCorrupt, err)
		}
		maskGiven(&r.Given)
	}
	info.Data = nil // Given has it, masked
	r.RunInfo = info
	if !r.checked && !r.Live() { // nothing is written any more
		if err := r.st.CheckRun(info); err != nil {
			return false, fmt.Errorf("%w; what the run made is in the store all the same: run the recipe again", err)
		}
		r.checked = true
	}
	events, next, err := Events(r.st, r.ID, r.next)
	if err != nil {
		return false, err
	}
	for _, e := range events {
		r.add(e)
	}
	changed = next != r.next || status != r.Status
	r.next = next
	progress, err := flow.ReadProgress(r.st, r.ID)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return changed, err
	}
	for _, s := range r.Stages {
		s.Progress = nil
		if p, ok := progress[s.Name]; ok && s.State == Running && r.Live() {
			s.Progress, changed = &p, true
		}
		if !r.Live() && !s.State.Over() {
			if p, ok := progress[s.Name]; ok && s.State == Running {
				r.lastSign(s, p)
			}
			s.State, s.Reason = Stopped, "the run ended first ("+r.Status+")"
		}
	}
	switch {
	case !r.Finished.IsZero():
		r.Seconds = seconds(r.Started, r.Finished)
	case r.Live():
		r.Seconds = seconds(r.Started, time.Now())
	default: // killed: nobody knows when; the last sign of life is the best guess
		r.Seconds = seconds(r.Started, r.lastEvent)
	}
	return changed, nil
}

// seconds is the time between two moments; clocks that are set back do not make it
// negative, nor does a moment that nobody noted.
func seconds(from, to time.Time) float64 { return max(0, to.Sub(from).Seconds()) }

// lastSign takes the last progress of a stage that was killed at work for its end.
func (r *Run) lastSign(s *Stage, p event.Event) {
	if p.Time.After(r.lastEvent) {
		r.lastEvent = p.Time
	}
	s.Ended, s.Seconds, s.Stats = p.Time, seconds(s.Started, p.Time), map[string]float64{}
	for _, name := range append([]string{"memo_hits"}, stage.Spending...) {
		if v := p.Values[name]; v > 0 {
			s.Stats[name] = v
		}
	}
}

// stage finds a stage, or adds one that the run's recipe does not name.
func (r *Run) stage(name, typ string) *Stage {
	s := r.byName[name]
	if s == nil {
		s = &Stage{Name: name, Type: typ, State: Waiting}
		r.byName[name] = s
		r.Stages = append(r.Stages, s)
	}
	return s
}

// add takes one event.
func (r *Run) add(e event.Event) {
	r.lastEvent = e.Time
	switch {
	case e.Kind == event.RunDone:
		r.Paused = false
		if len(r.failures()) == 0 {
			r.Error = e.Error
		}
		return
	case e.Kind == event.RunStarted:
		return
	case e.Kind == event.RunControl:
		r.Answers = append(r.Answers, e)
		r.Answers = r.Answers[max(0, len(r.Answers)-maxAnswers):]
		if c := e.Command; c != nil && e.Error == "" && c.Action != event.Set {
			r.Paused = c.Action == event.Pause
		}
		return
	case e.Stage == "":
		if e.Kind == event.StageWarning {
			warn(&r.Warnings, e)
		}
		return
	}
	s := r.stage(e.Stage, e.Type)
	if e.Key != "" {
		s.Key = e.Key
	}
	if e.Reason != "" {
		s.Reason = e.Reason
	}
	switch e.Kind {
	case event.StageWaiting:
		s.Reason = e.Message
	case event.StageStarted:
		s.State, s.Started = Running, e.Time
	case event.StageHit:
		s.State, s.Ended = Hit, e.Time
		s.Outputs = r.outputs(s, e.Outputs)
	case event.StageDone:
		s.State, s.Ended, s.Seconds, s.Stats = Ran, e.Time, e.Seconds, e.Values
		s.Outputs = r.outputs(s, e.Outputs)
	case event.StageFailed, event.StageStopped:
		s.State, s.Ended, s.Error, s.Stats = Failed, e.Time, e.Error, e.Values
		if e.Kind == event.StageStopped {
			s.State = Stopped
		}
		if !s.Started.IsZero() {
			s.Seconds = seconds(s.Started, e.Time)
		}
	case event.StageSkipped:
		s.State, s.Ended = Skipped, e.Time
	case event.StageSaved:
		for i := range s.Outputs {
			if o, ok := e.Outputs[s.Outputs[i].Port]; ok {
				s.Outputs[i].Saved = o.Path
			}
		}
	case event.StageWarning:
		warn(&s.Warnings, e)
	}
}

func (r *Run) failures() []*Stage {
	return slices.DeleteFunc(slices.Clone(r.Stages), func(s *Stage) bool { return s.State != Failed })
}

// maxWarnings is how many different warnings of one stage are kept; more are counted.
const maxWarnings = 100

func warn(list *[]Warning, e event.Event) {
	find := func(message string) int {
		return slices.IndexFunc(*list, func(w Warning) bool { return w.Message == message })
	}
	i := find(e.Message)
	if i < 0 && len(*list) >= maxWarnings {
		e.Message = "further warnings; 'distillflow log' has them"
		i = find(e.Message)
	}
	if i >= 0 {
		(*list)[i].Count++
		return
	}
	*list = append(*list, Warning{Time: e.Time, Message: e.Message, Count: 1})
}

// outputs puts the outputs of an event into the order of the stage type's ports.
func (r *Run) outputs(s *Stage, published map[string]event.Output) []Output {
	var ports []stage.Port
	if t, ok := r.reg.Lookup(s.Type); ok {
		ports = t.Outputs
	}
	list := make([]Output, 0, len(published))
	for port, o := range published {
		out := Output{Stage: s.Name, Port: port, Digest: store.Digest(o.Digest), Rows: o.Rows, Bytes: o.Bytes}
		if i := slices.IndexFunc(ports, func(p stage.Port) bool { return p.Name == port }); i >= 0 {
			out.Kind, out.Record = store.OutputKind(ports[i].Kind), ports[i].Record
		}
		list = append(list, out)
	}
	rank := func(o Output) int {
		if i := slices.IndexFunc(ports, func(p stage.Port) bool { return p.Name == o.Port }); i >= 0 {
			return i
		}
		return len(ports)
	}
	slices.SortFunc(list, func(a, b Output) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Port, b.Port)) })
	return list
}

// Made tells how the result of a stage came to be: when, how long it took and its
// figures, also of a hit, whose result an earlier run made. ok is false if the store
// does not hold it.
func (r *Run) Made(s *Stage) (m store.Meta, ok bool, err error) {
	if s.Key == "" {
		return m, false, nil
	}
	a, _, err := r.st.GetAction(s.Key)
	if a == nil || err != nil {
		return m, false, err
	}
	return a.Meta, true, nil
}
