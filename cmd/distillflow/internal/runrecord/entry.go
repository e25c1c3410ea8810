package runrecord

import (
	"encoding/json"
	"time"
)

// Entry is a run in a list of runs, and what an expression over runs sees of it. Fields
// are only ever added.
type Entry struct {
	ID      string                     `json:"id"`
	Recipe  string                     `json:"recipe"` // path as the user gave it
	Name    string                     `json:"name"`   // of the recipe
	Status  string                     `json:"status"`
	Started time.Time                  `json:"started"`
	Seconds float64                    `json:"seconds"`
	Seed    uint64                     `json:"seed"`
	Profile string                     `json:"profile"`
	Params  map[string]json.RawMessage `json:"params"`
	Stages  map[State]int              `json:"stages"` // how many ended in which state
	Cost
	Figures map[string]float64 `json:"figures"` // see [Run.Figures]
}

// Entry sums the run up. The error names outputs that could not be read; the entry is
// good all the same.
func (r *Run) Entry() (Entry, error) {
	e := Entry{
		ID: r.ID, Recipe: r.Recipe, Name: r.Resolved.Name, Status: r.Status, Started: r.Started, Seconds: r.Seconds,
		Seed: r.Given.Seed, Profile: r.Given.Profile, Params: map[string]json.RawMessage{}, Stages: map[State]int{}, Cost: r.Cost(),
	}
	for _, p := range r.Resolved.Params {
		e.Params[p.Name] = p.Value
	}
	for _, s := range r.Stages {
		e.Stages[s.State]++
	}
	var err error
	e.Figures, err = r.Figures()
	return e, err
}

// Number is a figure by which runs are sorted: seconds, usd, calls, tokens, or one of the
// Figures. ok is false if the run has none of the name.
func (e Entry) Number(name string) (v float64, ok bool) {
	switch name {
	case "seconds":
		return e.Seconds, true
	case "usd":
		return e.USD, true
	case "calls":
		return e.Calls, true
	case "tokens":
		return e.PromptTokens + e.CompletionTokens, true
	}
	v, ok = e.Figures[name]
	return v, ok
}
