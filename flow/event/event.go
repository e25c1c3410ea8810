// Package event is the one stream of facts about a run. The engine emits
// events; the terminal view, the JSON log, the run history and the tests read
// them. Nothing else tells what ran.
package event

import "time"

// Kind says what happened.
type Kind string

// The kinds of events.
const (
	RunStarted    Kind = "run_started"
	StageHit      Kind = "stage_hit"      // the cache held the stage's result
	StageWaiting  Kind = "stage_waiting"  // somebody else is making the same result; Message says who
	StageStarted  Kind = "stage_started"  // the stage's code is invoked
	StagePlaced   Kind = "stage_placed"   // another machine runs it; Message says where, and where its worker's log is
	StageProgress Kind = "stage_progress" // how far it is
	StageWarning  Kind = "stage_warning"
	StageDone     Kind = "stage_done"    // it ran and its result is published
	StageFailed   Kind = "stage_failed"  // it ran and returned an error
	StageStopped  Kind = "stage_stopped" // it ran and ended early because the run was interrupted
	StageSkipped  Kind = "stage_skipped" // when: was false, or something upstream failed or was skipped
	StageSaved    Kind = "stage_saved"   // save: wrote its files
	RunControl    Kind = "run_control"   // somebody paused, resumed, stopped or changed the run; Error: it was refused
	RunDone       Kind = "run_done"
)

// Event is one fact. Fields that do not apply to its kind are zero.
type Event struct {
	Time    time.Time          `json:"time"`
	Kind    Kind               `json:"kind"`
	Run     string             `json:"run,omitempty"`
	Stage   string             `json:"stage,omitempty"` // the name in the recipe
	Type    string             `json:"type,omitempty"`  // the stage type
	Key     string             `json:"key,omitempty"`   // the action key
	Reason  string             `json:"reason,omitempty"`
	Message string             `json:"message,omitempty"`
	Done    int64              `json:"done,omitempty"`
	Total   int64              `json:"total,omitempty"`  // 0 means unknown
	Unit    string             `json:"unit,omitempty"`   // rows, calls, steps
	Values  map[string]float64 `json:"values,omitempty"` // what the stage counts, also of one that failed
	Outputs map[string]Output  `json:"outputs,omitempty"`
	Seconds float64            `json:"seconds,omitempty"`
	Error   string             `json:"error,omitempty"`
	Command *Command           `json:"command,omitempty"` // of RunControl
}

// Command is what somebody wants of a run that goes on.
type Command struct {
	ID     string  `json:"id"`     // by which who gave it knows the answer
	Action Action  `json:"action"` // one of the actions
	Stage  string  `json:"stage,omitempty"`
	Field  string  `json:"field,omitempty"`
	Value  float64 `json:"value,omitempty"`
}

// Action is what a [Command] wants.
type Action string

// The actions.
const (
	Pause  Action = "pause"  // no stage starts, and no new request goes out
	Resume Action = "resume" // go on
	Stop   Action = "stop"   // as an interrupt
	Set    Action = "set"    // a running stage goes on with another value of a field
)

// Output is one published output of a stage.
type Output struct {
	Digest string `json:"digest"`
	Rows   int64  `json:"rows,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Sink receives events. It must be safe for concurrent use and must not block
// for long: stages wait for it.
type Sink func(Event)

// Tee gives every event to each sink that is not nil.
func Tee(sinks ...Sink) Sink {
	return func(e Event) {
		for _, s := range sinks {
			if s != nil {
				s(e)
			}
		}
	}
}
