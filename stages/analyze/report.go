package analyze

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/schema"
)

// Report is the figures of a run as tables. Empty parts are left out of the print.
type Report struct {
	Of          string                    // whose figures they are, behind the name of each table; "" for the whole run's
	Arms        []schema.ArmScore         // of compare-arms; they stand in place of the parts of single runs
	Routers     []schema.RouterScore      // of compare-routers
	Systems     []schema.SystemScore      // of compare-systems
	Differences []schema.SystemDifference // of compare-systems
	Scores      []schema.Score            // of evaluate-students
	Comparisons []schema.Comparison       // of evaluate-students
	Rates       []schema.Rate             // of posrate
	Accuracy    []schema.Accuracy         // of accuracy
	Markdown    bool                      // Markdown instead of tables for a terminal
	Short       bool                      // of Rates only the table of all epochs
}

// Table is one table of a report. The first Words columns and the last Notes columns
// hold words, the others figures.
type Table struct {
	Name         string
	Head         []string
	Rows         [][]string
	Words, Notes int
}

// Tables gives the report's tables, for pages.
func (r Report) Tables() []Table {
	var out []Table
	for _, s := range r.sections() {
		out = append(out, Table{Name: s.name, Head: s.grid.head, Rows: s.grid.rows, Words: s.grid.left, Notes: s.grid.notes})
	}
	return out
}

// Render prints the report.
func Render(w io.Writer, r Report) error {
	var b strings.Builder
	for i, s := range r.sections() {
		if i > 0 {
			b.WriteByte('\n')
		}
		if r.Markdown {
			b.WriteString("## " + s.name + "\n\n" + s.grid.markdown())
			continue
		}
		b.WriteString(s.name + "\n\n")
		for line := range strings.Lines(s.grid.terminal()) {
			b.WriteString("  " + line)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

type section struct {
	name string
	grid *grid
}

func (r Report) sections() []section {
	var out []section
	add := func(name string, g *grid) {
		if r.Of != "" {
			name += " (" + r.Of + ")"
		}
		out = append(out, section{name, g})
	}
	if len(r.Accuracy) > 0 {
		add("Teacher", accuracyGrid(r.Accuracy))
	}
	if len(r.Routers) > 0 {
		add("Routers beside the oracle (95 % interval)", routerGrid(r.Routers))
	}
	if len(r.Arms) > 0 {
		add("Arms: mean of the runs (95 % interval); gain of the mean over "+r.Arms[0].Arm+", in points", armGrid(r.Arms))
		r.Scores, r.Comparisons, r.Rates = nil, nil, nil
	}
	if len(r.Systems) > 0 {
		add("Systems: mean of the runs", systemGrid(r.Systems))
	}
	if len(r.Differences) > 0 {
		add("Systems in pairs: mean difference over the runs, in points", differenceGrid(r.Differences))
	}
	if len(r.Scores) > 0 {
		add("Students", scoreGrid(r.Scores))
	}
	if len(r.Comparisons) > 0 {
		add("Students in pairs: McNemar's exact test", comparisonGrid(r.Comparisons))
	}
	// Styles by students over all epochs, and how the shares moved from epoch to epoch.
	rates := newRatesReport(r.Rates)
	if len(rates.Overall) == 0 {
		return out
	}
	add("Routing: share of each style's paths per student", styleGrid(rates.Overall, rates.Styles, rates.Students))
	if len(rates.Epochs) > 1 && !r.Short {
		add("Routing per epoch: share of the style's paths", epochGrid(rates))
	}
	return out
}

// styleGrid tabulates one epoch's rates, styles by students.
func styleGrid(rates []schema.Rate, styles, students []string) *grid {
	at := index(rates)
	g := &grid{head: append([]string{"style"}, students...), left: 1}
	sum := make([]schema.Rate, len(students))
	for _, style := range styles {
		row := []string{style}
		for i, student := range students {
			r := at[cell{0, style, student}]
			sum[i].Routed += r.Routed
			sum[i].Total += r.Total
			row = append(row, share(r.Routed, r.Total))
		}
		g.add(row...)
	}
	row := []string{"every style"}
	for _, s := range sum {
		row = append(row, share(s.Routed, s.Total))
	}
	g.add(row...)
	return g
}

// maxEpochColumns bounds the width of the per-epoch table.
const maxEpochColumns = 8

// epochGrid has a row per style and student and a column per epoch; of many
// epochs it shows some at even distances, the first and the last among them.
func epochGrid(r ratesReport) *grid {
	epochs := r.Epochs
	if n := len(epochs); n > maxEpochColumns {
		var some []epochRates
		for i := range maxEpochColumns {
			some = append(some, epochs[i*(n-1)/(maxEpochColumns-1)])
		}
		epochs = some
	}
	g := &grid{head: []string{"style", "student"}, left: 2}
	ats := make([]map[cell]schema.Rate, len(epochs))
	for i, e := range epochs {
		g.head = append(g.head, fmt.Sprintf("epoch %d", e.Epoch))
		ats[i] = index(e.Rates)
	}
	for _, style := range r.Styles {
		for _, student := range r.Students {
			row := []string{style, student}
			for _, at := range ats {
				x, ok := at[cell{0, style, student}]
				if !ok {
					row = append(row, "-")
					continue
				}
				row = append(row, percent(x.Share))
			}
			g.add(row...)
		}
	}
	return g
}

func index(rates []schema.Rate) map[cell]schema.Rate {
	at := map[cell]schema.Rate{}
	for _, r := range rates {
		at[cell{0, r.Style, r.Student}] = r
	}
	return at
}

// kindOrder is the order in which systems are listed: what was made, then what
// to compare it with.
var kindOrder = []string{"trained", "ensemble", "routed", "vote", "untrained", "baseline", "bound", "pass"}

// inOrder lists scores by task, and by what they are.
func inOrder(scores []schema.Score) []schema.Score {
	scores = slices.Clone(scores)
	rank := func(kind string) int {
		kind, _, _ = strings.Cut(kind, "@")
		if i := slices.Index(kindOrder, kind); i >= 0 {
			return i
		}
		return len(kindOrder)
	}
	slices.SortStableFunc(scores, func(a, b schema.Score) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Group, b.Group), cmp.Compare(rank(a.Kind), rank(b.Kind)))
	})
	return scores
}

func scoreGrid(scores []schema.Score) *grid {
	scores = inOrder(scores)
	g := &grid{head: []string{"task", "system", "kind", "accuracy", "95 % interval", "correct", "no answer"}, left: 3}
	grouped := slices.ContainsFunc(scores, func(s schema.Score) bool { return s.Group != "" })
	if grouped {
		g.head, g.left = slices.Insert(g.head, 1, "problems"), 4
	}
	noted := slices.ContainsFunc(scores, func(s schema.Score) bool { return s.Note != "" })
	if noted {
		g.head, g.notes = append(g.head, "note"), 1
	}
	for _, s := range scores {
		row := []string{orDash(s.Task), s.System, s.Kind, percent(s.Accuracy), interval(s.Low, s.High), fmt.Sprintf("%d/%d", s.Correct, s.Count), percent(float64(s.Unanswered) / float64(max(1, s.Count)))}
		if grouped {
			row = slices.Insert(row, 1, cmp.Or(s.Group, "all"))
		}
		if noted {
			row = append(row, s.Note)
		}
		g.add(row...)
	}
	return g
}

func comparisonGrid(comparisons []schema.Comparison) *grid {
	g := &grid{head: []string{"task", "system", "against", "difference", "only first right", "only second right", "p"}, left: 3}
	for _, c := range comparisons {
		g.add(orDash(c.Task), named(c.A, c.AKind), named(c.B, c.BKind), fmt.Sprintf("%+.1f %%", 100*c.Difference), fmt.Sprint(c.OnlyA), fmt.Sprint(c.OnlyB), fmt.Sprintf("%.2g", c.P))
	}
	return g
}

// named is a system with its kind where its name does not tell it.
func named(system, kind string) string {
	if kind == "trained" || kind == "ensemble" || kind == "routed" || kind == "baseline" {
		return system
	}
	return system + " " + kind
}
