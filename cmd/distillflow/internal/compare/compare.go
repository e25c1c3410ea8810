// Package compare sets runs side by side: what differs in params and stages, figures,
// routing and cost, and record by record the verdicts that flipped, with a paired test over
// the problems that both runs answered. The first run is the one that the others are
// compared with; stages match by name, records by task, id, style and replicate.
//
//	c, err := compare.Runs([]*runrecord.Run{a, b}, 10)
//	err = c.Text(w) // or Markdown, or as JSON
package compare

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/schema"
)

// Comparison is runs side by side. Lists by run have an entry for each of Runs, in their
// order. Fields are only ever added.
type Comparison struct {
	Runs    []Head   `json:"runs"`
	Params  []Param  `json:"params"` // that differ
	Stages  []Stage  `json:"stages"` // that differ
	Metrics []Metric `json:"metrics"`
	// Same lists stages whose outputs with verdicts are the same in a run as in the first: they
	// have no tests.
	Same    []Same  `json:"same"`
	Tests   []Test  `json:"tests"`
	Routing []Route `json:"routing"`
	Flips   []Flip  `json:"flips"`
	// Gone lists outputs that a store no longer holds; what they say is left out.
	Gone []string `json:"gone,omitempty"`
}

// Head says which run it is and what it cost.
type Head struct {
	Name    string         `json:"name"` // A, B, ...
	ID      string         `json:"id"`
	Recipe  string         `json:"recipe"`
	Status  string         `json:"status"`
	Started time.Time      `json:"started"`
	Seconds float64        `json:"seconds"`
	Cost    runrecord.Cost `json:"cost"` // that this run paid
	// Worth is what its results cost when they were made, hits among them.
	Worth runrecord.Cost `json:"worth"`
}

// Param is a param, or the seed or profile, that is not the same in all runs.
type Param struct {
	Name   string            `json:"name"`
	Values []json.RawMessage `json:"values"` // null where a run has none
}

// Stage is a stage that is not the same in a run as in the first.
type Stage struct {
	Run    string   `json:"run"`
	Stage  string   `json:"stage"`
	Change string   `json:"change"` // added, removed, changed, or same result: made in another way, with equal outputs
	Why    []string `json:"why"`
}

// Same is a stage whose verdicts are the same in a run as in the first.
type Same struct {
	Run   string `json:"run"`
	Stage string `json:"stage"`
}

// Metric is an accuracy that runs measured. Values are null where a run has none.
type Metric struct {
	Output string   `json:"output"` // STAGE.PORT
	Task   string   `json:"task"`
	System string   `json:"system"`          // a student, an ensemble, ...; teacher
	Group  string   `json:"group,omitempty"` // of the problems, or the style
	Values []*Share `json:"values"`
}

// Share is a proportion with Wilson's 95 % interval.
type Share struct {
	Count    int     `json:"count"`
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Route is how often paths of a style went to a student, by posrate, in all epochs. Values
// are null where a run has none.
type Route struct {
	Output  string     `json:"output"`
	Style   string     `json:"style"`
	Student string     `json:"student"`
	Values  []*float64 `json:"values"`
}

// Runs compares two or more runs, the others with the first. Of the verdicts that flipped it
// lists at most flips a test and direction. Its memory grows with the verdicts of the
// smaller output of each pair.
func Runs(runs []*runrecord.Run, flips int) (*Comparison, error) {
	c := &Comparison{Params: []Param{}, Stages: []Stage{}, Metrics: []Metric{}, Same: []Same{}, Tests: []Test{}, Routing: []Route{}, Flips: []Flip{}}
	for i, r := range runs {
		h := Head{Name: name(i), ID: r.ID, Recipe: r.Recipe, Status: r.Status, Started: r.Started, Seconds: r.Seconds, Cost: r.Cost()}
		for _, s := range r.Stages {
			m, ok, err := r.Made(s)
			if err != nil {
				return nil, err
			}
			if ok {
				h.Worth.Calls += m.Stats["calls"]
				h.Worth.MemoHits += m.Stats["memo_hits"]
				h.Worth.PromptTokens += m.Stats["prompt_tokens"]
				h.Worth.CompletionTokens += m.Stats["completion_tokens"]
				h.Worth.USD += m.Stats["usd"]
			}
		}
		c.Runs = append(c.Runs, h)
	}
	c.params(runs)
	for i, r := range runs[1:] {
		c.stages(runs[0], r, name(i+1))
	}
	if err := c.metrics(runs); err != nil {
		return nil, err
	}
	if err := c.routing(runs); err != nil {
		return nil, err
	}
	for i, r := range runs[1:] {
		if err := c.verdicts(runs[0], r, name(i+1), flips); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// name is A, B, ... Z, and then R27 and so on.
func name(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return "R" + strconv.Itoa(i+1)
}

func (c *Comparison) params(runs []*runrecord.Run) {
	var names []string
	values := map[string][]json.RawMessage{}
	set := func(name string, i int, v json.RawMessage) {
		if values[name] == nil {
			names = append(names, name)
			values[name] = make([]json.RawMessage, len(runs))
		}
		values[name][i] = v
	}
	for i, r := range runs {
		set("seed", i, json.RawMessage(strconv.FormatUint(r.Given.Seed, 10)))
		if r.Given.Profile != "" {
			set("profile", i, quoted(r.Given.Profile))
		}
		if m := r.Resolved.Machine; m.Program != "" {
			set("program", i, quoted(m.Program))
		}
		for _, p := range r.Resolved.Params {
			set("params."+p.Name, i, p.Value)
		}
	}
	for _, name := range names {
		first := values[name][0]
		if slices.ContainsFunc(values[name], func(v json.RawMessage) bool { return !bytes.Equal(v, first) }) {
			c.Params = append(c.Params, Param{name, values[name]})
		}
	}
}

func quoted(s string) json.RawMessage { return schema.AppendString(nil, s) }

func (c *Comparison) stages(a, b *runrecord.Run, run string) {
	for _, s := range b.Stages {
		d := Stage{Run: run, Stage: s.Name, Change: "changed", Why: []string{}}
		o := a.Stage(s.Name)
		switch {
		case o == nil:
			d.Change = "added"
		case o.Key == s.Key && o.State.Over() && s.State.Over() && made(o) == made(s):
			continue
		default:
			d.Why = why(o, s)
			if made(o) && made(s) && sameOutputs(o, s) {
				d.Change = "same result"
			}
		}
		c.Stages = append(c.Stages, d)
	}
	for _, o := range a.Stages {
		if b.Stage(o.Name) == nil {
			c.Stages = append(c.Stages, Stage{Run: run, Stage: o.Name, Change: "removed", Why: []string{}})
		}
	}
}

func made(s *runrecord.Stage) bool { return s.State == runrecord.Ran || s.State == runrecord.Hit }

func sameOutputs(a, b *runrecord.Stage) bool {
	return slices.EqualFunc(a.Outputs, b.Outputs, func(x, y runrecord.Output) bool { return x.Port == y.Port && x.Digest == y.Digest })
}

// why says in what a stage differs, as far as the runs' records tell.
func why(a, b *runrecord.Stage) []string {
	list := []string{}
	if made(a) != made(b) {
		list = append(list, fmt.Sprintf("%s -> %s", a.State, b.State))
	}
	if a.Type != b.Type {
		return append(list, fmt.Sprintf("type %s -> %s", a.Type, b.Type))
	}
	x, y := fields(a.With), fields(b.With)
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if _, ok := y[name]; !ok {
			list = append(list, fmt.Sprintf("%s %s -> not set", name, x[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(y)) {
		old, ok := x[name]
		switch {
		case !ok:
			list = append(list, fmt.Sprintf("%s not set -> %s", name, y[name]))
		case !bytes.Equal(old, y[name]):
			list = append(list, fmt.Sprintf("%s %s -> %s", name, old, y[name]))
		}
	}
	if in, other := inputs(a), inputs(b); !slices.Equal(in, other) {
		list = append(list, "its inputs differ")
	}
	if len(list) == 0 {
		list = append(list, "a file, the seed, the version of the stage or the platform differs")
	}
	return list
}

func fields(with json.RawMessage) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	_ = json.Unmarshal(with, &m) // the record of an old run has none
	return m
}

// inputs are the digests that a stage read, by port.
func inputs(s *runrecord.Stage) []string {
	var list []string
	for _, in := range s.Inputs {
		o, _ := in.Stage.Output(in.Output)
		list = append(list, in.Port+" "+string(o.Digest))
	}
	slices.Sort(list)
	return list
}

// byRun gathers values by run under keys, in the order of their first value.
type byRun[K comparable, V any] struct {
	keys []K
	at   map[K][]*V
}

func (t *byRun[K, V]) value(k K, run, runs int) *V {
	if t.at == nil {
		t.at = map[K][]*V{}
	}
	if t.at[k] == nil {
		t.keys = append(t.keys, k)
		t.at[k] = make([]*V, runs)
	}
	if t.at[k][run] == nil {
		t.at[k][run] = new(V)
	}
	return t.at[k][run]
}

func (c *Comparison) metrics(runs []*runrecord.Run) error {
	type key struct{ output, task, system, group string }
	var t byRun[key, Share]
	add := func(k key, run, correct, count int) {
		v := t.value(k, run, len(runs))
		v.Correct += correct // of several providers, or of legs that a stage gathers
		v.Count += count
	}
	for i, r := range runs {
		accuracy, err := read[schema.Accuracy](c, r)
		if err != nil {
			return err
		}
		for _, tab := range accuracy {
			for _, x := range tab.Rows {
				group := x.Style
				if group == "all" {
					group = ""
				}
				add(key{tab.Output.Label(), x.Task, "teacher", group}, i, x.Correct, x.Paths)
			}
		}
		scores, err := read[schema.Score](c, r)
		if err != nil {
			return err
		}
		for _, tab := range scores {
			for _, x := range tab.Rows {
				add(key{tab.Output.Label(), x.Task, runrecord.SystemName(x.System, x.Kind), x.Group}, i, x.Correct, x.Count)
			}
		}
	}
	for _, k := range t.keys {
		m := Metric{Output: k.output, Task: k.task, System: k.system, Group: k.group, Values: t.at[k]}
		for _, v := range m.Values {
			if v != nil {
				*v = share(v.Correct, v.Count)
			}
		}
		c.Metrics = append(c.Metrics, m)
	}
	return nil
}

func (c *Comparison) routing(runs []*runrecord.Run) error {
	type key struct{ output, style, student string }
	var t byRun[key, float64]
	for i, r := range runs {
		rates, err := read[schema.Rate](c, r)
		if err != nil {
			return err
		}
		for _, tab := range rates {
			for _, x := range tab.Rows {
				if x.Epoch == 0 && x.Total > 0 {
					*t.value(key{tab.Output.Label(), x.Style, x.Student}, i, len(runs)) = x.Share
				}
			}
		}
	}
	slices.SortStableFunc(t.keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.output, b.output), cmp.Compare(a.style, b.style), cmp.Compare(a.student, b.student))
	})
	for _, k := range t.keys {
		c.Routing = append(c.Routing, Route{Output: k.output, Style: k.style, Student: k.student, Values: t.at[k]})
	}
	return nil
}

// verdicts compares the verdicts of every stage that both runs have.
func (c *Comparison) verdicts(a, b *runrecord.Run, run string, flips int) error {
	for _, s := range a.Stages {
		other := b.Stage(s.Name)
		if other == nil {
			continue
		}
		x, y := sourceOf(a, s), sourceOf(b, other)
		if x == nil || y == nil {
			continue
		}
		if slices.EqualFunc(x.outputs, y.outputs, func(o, p runrecord.Output) bool { return o.Digest == p.Digest }) {
			c.Same = append(c.Same, Same{run, s.Name})
			continue
		}
		there, err := c.there(a, x)
		if err != nil {
			return err
		}
		if ok, err := c.there(b, y); err != nil {
			return err
		} else if !ok || !there {
			continue
		}
		p, err := pair(x, y, flips)
		if err != nil {
			return err
		}
		for _, t := range p.tests() {
			t.Run, t.Stage = run, s.Name
			c.Tests = append(c.Tests, t)
		}
		for _, f := range p.flips {
			f.Run, f.Stage = run, s.Name
			c.Flips = append(c.Flips, f)
		}
	}
	return nil
}

// there reports whether the store still holds a source.
func (c *Comparison) there(r *runrecord.Run, s *source) (bool, error) {
	there := true
	for _, o := range s.outputs {
		_, err := r.Path(o)
		there = there && err == nil
		if err := c.gone(r, err); err != nil {
			return false, err
		}
	}
	return there, nil
}

// read gives the tables of a record type, without those that the store has lost.
func read[T interface{ RecordType() string }](c *Comparison, r *runrecord.Run) ([]runrecord.Table[T], error) {
	tables, err := runrecord.Read[T](r)
	return tables, c.gone(r, err)
}

// gone notes outputs that a store has lost and returns all other errors.
func (c *Comparison) gone(r *runrecord.Run, err error) error {
	if err == nil {
		return nil
	}
	var rest []error
	for _, e := range view.Errors(err) {
		var g *runrecord.GoneError
		if !errors.As(e, &g) {
			rest = append(rest, e)
			continue
		}
		if label := g.Output.Label() + " of " + r.ID; !slices.Contains(c.Gone, label) {
			c.Gone = append(c.Gone, label)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return fmt.Errorf("run %s: %w", r.ID, errors.Join(rest...))
}

func short(s string, n int) string {
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
