package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
)

// Page is all that a report shows.
type Page struct {
	Title       string
	About       string
	Status      string
	ID          string
	When        string
	Tiles       []Tile
	Errors      []pages.Fact // of stages, or of the run
	Warnings    []pages.Fact
	Notes       []string // what the page lacks, and why
	Figures     []Figure
	Graph       template.HTML `json:"-"`
	Stages      pages.Table
	Passed      pages.Table // how many rows each output has of those that came in
	Dropped     pages.Table // why the rest fell
	Tables      []pages.Table
	Examples    []Group
	Cost        pages.Table
	Params      pages.Table
	Environment []pages.Fact
	Lock        []pages.Fact

	facts *facts
}

// Tile is a figure at the top of the page.
type Tile struct{ Name, Value, More string }

// runTables are the small outputs of a run.
type runTables struct {
	accuracy    []runrecord.Table[schema.Accuracy]
	scores      []runrecord.Table[schema.Score]
	comparisons []runrecord.Table[schema.Comparison]
	rates       []runrecord.Table[schema.Rate]
	arms        []runrecord.Table[schema.ArmScore]
	routers     []runrecord.Table[schema.RouterScore]
	systems     []runrecord.Table[schema.SystemScore]
	differences []runrecord.Table[schema.SystemDifference]
}

// summed reports whether tables over all legs stand for those of each leg.
func (t runTables) summed() bool { return len(t.arms)+len(t.systems) > 0 }

// New gathers the page of a run. What cannot be read is left out, and a note says so.
func New(r *runrecord.Run) *Page {
	p := &Page{
		Title: cmp.Or(r.Resolved.Name, r.Recipe, r.ID), About: r.Resolved.Description, Status: r.Status, ID: r.ID,
		When: r.Started.UTC().Format("2 January 2006, 15:04 UTC"), facts: newFacts(r),
	}
	t := runTables{
		accuracy: read[schema.Accuracy](p, r), scores: read[schema.Score](p, r), comparisons: read[schema.Comparison](p, r),
		rates: read[schema.Rate](p, r), arms: read[schema.ArmScore](p, r),
		routers: read[schema.RouterScore](p, r), systems: read[schema.SystemScore](p, r), differences: read[schema.SystemDifference](p, r),
	}
	p.messages(r)
	p.tiles(r, t)
	p.figures(r, t)
	number := map[string]int{}
	for i, s := range r.Stages {
		number[s.Name] = i
	}
	graph, err := pages.Graph(r, func(name string) string { return "#" + anchor(number[name]) })
	if err != nil {
		p.note("The graph is too large for a picture: %v.", err)
	}
	p.Graph = graph
	p.stages(r)
	p.passed(r)
	p.tables(t)
	if p.Examples, err = examples(r, p.facts); err != nil {
		p.failed(err)
	}
	p.cost(r)
	p.params(r)
	p.environment(r)
	p.lock(r)
	return p
}

func (p *Page) note(format string, a ...any) {
	if n := fmt.Sprintf(format, a...); !slices.Contains(p.Notes, n) {
		p.Notes = append(p.Notes, n)
	}
}

// failed notes what could not be read.
func (p *Page) failed(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			p.failed(e)
		}
		return
	}
	if err != nil {
		p.note("Not shown: %v", err)
	}
}

func read[T stage.Record](p *Page, r *runrecord.Run) []runrecord.Table[T] {
	t, err := runrecord.Read[T](r)
	p.failed(err)
	return t
}

func (p *Page) messages(r *runrecord.Run) {
	if r.Error != "" {
		p.Errors = append(p.Errors, pages.Fact{Name: "run", Value: r.Error})
	}
	warn := func(stage string, list []runrecord.Warning) {
		for _, w := range list {
			if w.Count > 1 {
				w.Message += fmt.Sprintf(" (%d times)", w.Count)
			}
			p.Warnings = append(p.Warnings, pages.Fact{Name: stage, Value: w.Message})
		}
	}
	warn("run", r.Warnings)
	for _, s := range r.Stages {
		if s.Error != "" && s.State == runrecord.Failed {
			p.Errors = append(p.Errors, pages.Fact{Name: s.Name, Value: s.Error})
		}
		warn(s.Name, s.Warnings)
	}
}

func (p *Page) tiles(r *runrecord.Run, t runTables) {
	add := func(name, value, more string) { p.Tiles = append(p.Tiles, Tile{name, value, more}) }
	for _, table := range t.accuracy {
		for _, a := range table.Rows {
			if a.Style == "all" && a.Paths > 0 && len(p.Tiles) < 2 {
				add("Teacher, "+a.Task, percent(a.Accuracy), fmt.Sprintf("%s; %s paths", interval(a.Low, a.High), pages.Count(a.Paths)))
			}
		}
	}
	switch {
	case len(t.arms) > 0:
		means := slices.DeleteFunc(slices.Clone(t.arms[0].Rows), func(a schema.ArmScore) bool { return a.System != "mean" })
		slices.SortStableFunc(means, func(a, b schema.ArmScore) int { return cmp.Compare(b.Accuracy, a.Accuracy) })
		for _, a := range means[:min(3, len(means))] {
			add("Students, "+a.Arm, percent(a.Accuracy), interval(a.Low, a.High)+", "+text.Plural(a.Runs, "run"))
		}
	case len(t.scores) > 0:
		rows := slices.DeleteFunc(slices.Clone(t.scores[0].Rows), func(s schema.Score) bool { return s.Group != "" })
		shown := 0
		for _, s := range rows {
			if s.Kind != "trained" && s.Kind != "ensemble" || shown == 4 {
				continue
			}
			shown++
			more := interval(s.Low, s.High)
			if i := slices.IndexFunc(rows, func(u schema.Score) bool {
				return u.Kind == "untrained" && u.System == s.System && u.Task == s.Task
			}); i >= 0 {
				more += "; untrained " + percent(rows[i].Accuracy)
			}
			name := "Student, " + s.System
			if s.Kind == "ensemble" {
				name = "Ensemble"
			}
			add(name, percent(s.Accuracy), more)
		}
	}
	states := map[runrecord.State]int{}
	for _, s := range r.Stages {
		states[s.State]++
	}
	var parts []string
	for _, st := range slices.Sorted(maps.Keys(states)) {
		parts = append(parts, fmt.Sprintf("%d %s", states[st], st))
	}
	add("Time", took(r.Seconds), text.Plural(len(r.Stages), "stage")+": "+strings.Join(parts, ", "))
	if c := r.Cost(); c.Calls+c.MemoHits > 0 {
		more := pages.Count(int64(c.Calls)) + " calls, " + pages.Count(int64(c.PromptTokens+c.CompletionTokens)) + " tokens"
		if c.MemoHits > 0 {
			more += ", " + pages.Count(int64(c.MemoHits)) + " from the memo"
		}
		add("Cost", dollars(c.USD), more)
	}
}

// anchor is where the i-th stage stands on the page.
func anchor(i int) string { return "stage-" + strconv.Itoa(i+1) }

func (p *Page) stages(r *runrecord.Run) {
	t := pages.Table{Name: "Stages", Head: []string{"Stage", "Type", "State", "Took", "Rows in", "Rows out", "Why"}, Words: 3, Notes: 1, States: 2}
	for i, s := range r.Stages {
		out := ""
		if o, ok := s.Output(""); ok && o.Record != "" {
			out = pages.Count(o.Rows)
		}
		in := ""
		if n := s.RowsIn(); n > 0 {
			in = pages.Count(n)
		}
		time := ""
		if s.Seconds > 0 {
			time = took(s.Seconds)
		}
		why := s.Reason
		if s.State == runrecord.Failed {
			why = text.FirstLine(s.Error)
		}
		t.Rows = append(t.Rows, []string{s.Name, s.Type, string(s.State), time, in, out, why})
		t.IDs = append(t.IDs, anchor(i))
	}
	p.Stages = t
}

// passed lists the outputs of stages that do not pass on all, and for which reasons.
func (p *Page) passed(r *runrecord.Run) {
	p.Passed = pages.Table{Name: "What passed", Head: []string{"Output", "Rows", "of", "Paths", "of", "Share"}, Words: 1}
	p.Dropped = pages.Table{Name: "Why the rest fell", Head: []string{"Output", "Rows", "Paths", "Reason"}, Words: 1, Notes: 1}
	graded := slices.ContainsFunc(r.Stages, isVerifier)
	count := func(o runrecord.Output) (int64, error) {
		return fact(p.facts, "paths", []string{string(o.Digest)}, func() (int64, error) { return countPaths(r, o) })
	}
	for _, s := range r.Stages {
		if s.Type == "extract" && graded {
			continue // the verifier says it again
		}
		drops, err := fact(p.facts, "drops", dropsFrom(s), func() ([]runrecord.Drop, error) { return r.Drops(s) })
		p.failed(err)
		for _, d := range drops {
			paths := ""
			if d.Paths > 0 {
				paths = pages.Count(d.Paths)
			}
			p.Dropped.Rows = append(p.Dropped.Rows, []string{s.Name + "." + d.Port, pages.Count(d.Rows), paths, d.Reason})
		}
		rowsIn := s.RowsIn()
		for _, o := range s.Outputs {
			// With one input, what is not in the output has fallen.
			if o.Record != problemRecord || len(s.Inputs) != 1 || slices.Contains(fallen, o.Port) || len(drops) == 0 && (o.Rows == rowsIn || o.Rows == 0) {
				continue
			}
			in, ok := s.Inputs[0].Stage.Output(s.Inputs[0].Output)
			if !ok || in.Record != problemRecord || o.Rows > in.Rows {
				continue
			}
			paths, err := count(o)
			p.failed(err)
			pathsIn, err := count(in)
			p.failed(err)
			if o.Rows == rowsIn && paths == pathsIn || paths > pathsIn {
				continue
			}
			row := []string{o.Label(), pages.Count(o.Rows), pages.Count(rowsIn), "", "", percent(float64(o.Rows) / float64(rowsIn))}
			if pathsIn > 0 {
				row[3], row[4], row[5] = pages.Count(paths), pages.Count(pathsIn), percent(float64(paths)/float64(pathsIn))
			}
			p.Passed.Rows = append(p.Passed.Rows, row)
		}
	}
}

// fallen are the ports of what does not pass.
var fallen = []string{"errors", "invalid", "dropped", "unmatched", "quarantine"}

var problemRecord = schema.Problem{}.RecordType()

// dropsFrom is what the drops of a stage depend on.
func dropsFrom(s *runrecord.Stage) []string {
	from := []string{s.Type, string(s.With)}
	for _, o := range s.Outputs {
		from = append(from, o.Port, o.Record, string(o.Digest))
	}
	return from
}

func countPaths(r *runrecord.Run, o runrecord.Output) (n int64, err error) {
	for row, err := range r.Rows(o, 0, nil) {
		if err != nil {
			return 0, err
		}
		n += gjson.GetBytes(row.JSON, "paths.#").Int()
	}
	return n, nil
}

func (p *Page) tables(t runTables) {
	tabulate(p, t.accuracy, func(rows []schema.Accuracy) analyze.Report { return analyze.Report{Accuracy: rows} })
	tabulate(p, t.routers, func(rows []schema.RouterScore) analyze.Report { return analyze.Report{Routers: rows} })
	tabulate(p, t.arms, func(rows []schema.ArmScore) analyze.Report { return analyze.Report{Arms: rows} })
	tabulate(p, t.systems, func(rows []schema.SystemScore) analyze.Report { return analyze.Report{Systems: rows} })
	tabulate(p, t.differences, func(rows []schema.SystemDifference) analyze.Report { return analyze.Report{Differences: rows} })
	if t.summed() {
		return
	}
	tabulate(p, t.scores, func(rows []schema.Score) analyze.Report { return analyze.Report{Scores: rows} })
	tabulate(p, t.comparisons, func(rows []schema.Comparison) analyze.Report { return analyze.Report{Comparisons: rows} })
	tabulate(p, t.rates, func(rows []schema.Rate) analyze.Report { return analyze.Report{Rates: rows} })
}

func tabulate[T stage.Record](p *Page, list []runrecord.Table[T], report func([]T) analyze.Report) {
	for _, t := range list {
		rep := report(t.Rows)
		if len(list) > 1 {
			rep.Of = t.Output.Label()
		}
		for _, a := range rep.Tables() {
			p.Tables = append(p.Tables, pages.Table{Name: a.Name, Head: a.Head, Rows: a.Rows, Words: a.Words, Notes: a.Notes})
		}
	}
}

// cost lists what the stages asked of models, in this run or, if they were hits, in the
// one that made the result.
func (p *Page) cost(r *runrecord.Run) {
	t := pages.Table{Name: "Calls to models", Head: []string{"Stage", "Paid", "Requests", "Calls", "From the memo", "Prompt tokens", "Completion tokens", "Cost"}, Words: 2}
	for _, s := range r.Stages {
		stats, when := s.Stats, "in this run"
		if s.State == runrecord.Hit {
			if c := r.Class(s); c == stage.Pure || c == stage.Seeded {
				continue // it asks nobody; to look that up takes time in a sweep
			}
			made, ok, err := r.Made(s)
			if !ok || err != nil {
				continue
			}
			stats, when = made.Stats, "in an earlier run"
		}
		if _, asks := stats["requests"]; !asks {
			continue
		}
		row := []string{s.Name, when}
		for _, name := range []string{"requests", "calls", "memo_hits", "prompt_tokens", "completion_tokens"} {
			row = append(row, pages.Count(int64(stats[name])))
		}
		t.Rows = append(t.Rows, append(row, dollars(stats["usd"])))
	}
	p.Cost = t
}

func (p *Page) params(r *runrecord.Run) {
	p.Params = pages.Table{Name: "Parameters", Head: []string{"Parameter", "Value", "From"}, Words: 3, Notes: 2}
	for _, q := range r.Resolved.Params {
		value := string(q.Value)
		var s string
		if json.Unmarshal(q.Value, &s) == nil && s != "" {
			value = s
		}
		p.Params.Rows = append(p.Params.Rows, []string{q.Name, value, string(q.Origin)})
	}
}

func (p *Page) environment(r *runrecord.Run) {
	add := func(name, value string) {
		if value != "" {
			p.Environment = append(p.Environment, pages.Fact{Name: name, Value: value})
		}
	}
	add("Recipe", r.Recipe)
	add("Profile", r.Given.Profile)
	add("Seed", strconv.FormatUint(r.Given.Seed, 10))
	m := r.Resolved.Machine
	add("Program", strings.TrimSpace("distillflow "+m.Program))
	add("Go", m.Go)
	add("Platform", m.Platform)
	add("Host", m.Host)
	if m.CPUs > 0 {
		add("CPUs", strconv.Itoa(m.CPUs))
	}
	add("GPUs", strings.Join(m.GPUs, ", "))
	for _, name := range slices.Sorted(maps.Keys(r.Given.Env)) {
		add("Variable "+name, r.Given.Env[name])
	}
}

// lock lists what fixes the run: outside names at exact versions, and the stages' keys.
func (p *Page) lock(r *runrecord.Run) {
	followed := "the run followed no lock; 'distillflow run --lock' writes one"
	if r.Resolved.Locked {
		followed = "the run followed distillflow.lock"
	}
	p.Lock = append(p.Lock, pages.Fact{Name: "Lock", Value: followed})
	for _, name := range slices.Sorted(maps.Keys(r.Given.Pins)) {
		p.Lock = append(p.Lock, pages.Fact{Name: name, Value: r.Given.Pins[name]})
	}
	for _, s := range r.Stages {
		if s.Key != "" {
			p.Lock = append(p.Lock, pages.Fact{Name: "Key of " + s.Name, Value: string(s.Key)})
		}
	}
}

func took(seconds float64) string {
	return text.Duration(time.Duration(seconds * float64(time.Second)))
}

// percent prints a share with one decimal; it is not broken over lines.
func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + "\u00a0%" }

func interval(low, high float64) string {
	return "95\u00a0%: " + strconv.FormatFloat(100*low, 'f', 1, 64) + " to " + strconv.FormatFloat(100*high, 'f', 1, 64)
}

// dollars prints an amount, of small ones the fractions of a cent.
func dollars(usd float64) string {
	if usd > 0 && usd < 0.1 {
		return fmt.Sprintf("$%.4f", usd)
	}
	return fmt.Sprintf("$%.2f", usd)
}
