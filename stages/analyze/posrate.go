package analyze

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type posrateConfig struct{}

type posrateIn struct {
	Log stage.Rows[schema.RouterDecision] `port:"router_log" doc:"The routing decisions of train-moe, or those of the Python scripts by import-router-log."`
}

type posrateOut struct {
	Rates  *stage.Writer[schema.Rate] `port:"rates" doc:"One row per epoch, style and student. Epoch 0, which comes first, is all epochs together."`
	Report *stage.OutDir              `port:"report" doc:"rates.md (students by styles, overall and per epoch) and rates.json."`
}

// Posrate is the stage type posrate.
var Posrate = stage.Define(stage.Spec{
	Type: "posrate", Version: 2, Class: stage.Pure,
	Doc: `Counts how often each reasoning style was routed to each student.

A rate is the share of a style's appearances in the router log that chose the
student, per epoch and over all epochs. A style that does not appear in an
epoch has no rows there; a student that was never chosen has rows with share 0,
because the log's probabilities name it. Where the log has the students' weights in
the ensemble, a rate has their mean. Rows are ordered by epoch, style and student. A line that is not a routing decision is an error: shares of a part
of the log would look like shares of the whole.`,
}, runPosrate)

// cell is one place in the routing table.
type cell struct {
	epoch          int // 0: all
	style, student string
}

// mean sums what it is the mean of.
type mean struct {
	sum float64
	n   int
}

// tally counts routing decisions.
type tally struct {
	routed   map[cell]int
	total    map[cell]int // student is ""
	weights  map[cell]mean
	students map[string]bool
	styles   map[string]bool
	epochs   map[int]bool
}

func newTally() *tally {
	return &tally{routed: map[cell]int{}, total: map[cell]int{}, weights: map[cell]mean{}, students: map[string]bool{}, styles: map[string]bool{}, epochs: map[int]bool{}}
}

func (t *tally) add(d schema.RouterDecision) error {
	switch {
	case d.Epoch < 1:
		return fmt.Errorf("epoch is %d; epochs count from 1", d.Epoch)
	case d.Style == "":
		return fmt.Errorf("field %q is empty", "style")
	case d.Student == "" && len(d.Weights) == 0:
		return fmt.Errorf("field %q is empty", "student")
	}
	for _, e := range []int{0, d.Epoch} {
		for s, w := range d.Weights {
			m := t.weights[cell{e, d.Style, s}]
			t.weights[cell{e, d.Style, s}] = mean{m.sum + w, m.n + 1}
			t.students[s] = true
		}
		if d.Student != "" {
			t.routed[cell{e, d.Style, d.Student}]++
			t.total[cell{e, d.Style, ""}]++
			t.students[d.Student] = true
		}
	}
	t.epochs[d.Epoch], t.styles[d.Style] = true, true
	for s := range d.Probs {
		t.students[s] = true
	}
	return nil
}

// rates lists the table ordered by epoch (0 first), style and student.
func (t *tally) rates() []schema.Rate {
	var out []schema.Rate
	for _, e := range append([]int{0}, slices.Sorted(maps.Keys(t.epochs))...) {
		for _, style := range slices.Sorted(maps.Keys(t.styles)) {
			n := t.total[cell{e, style, ""}]
			for _, student := range slices.Sorted(maps.Keys(t.students)) {
				r := schema.Rate{Epoch: e, Style: style, Student: student, Routed: t.routed[cell{e, style, student}], Total: n}
				w := t.weights[cell{e, style, student}]
				if n == 0 && w.n == 0 {
					continue
				}
				if n > 0 {
					r.Share = float64(r.Routed) / float64(n)
				}
				if w.n > 0 {
					r.Weight = w.sum / float64(w.n)
				}
				out = append(out, r)
			}
		}
	}
	return out
}

// ratesReport is rates.json.
type ratesReport struct {
	Decisions int           `json:"decisions"`
	Students  []string      `json:"students"`
	Styles    []string      `json:"styles"`
	Overall   []schema.Rate `json:"overall"`
	Epochs    []epochRates  `json:"epochs"`
}

type epochRates struct {
	Epoch int           `json:"epoch"`
	Rates []schema.Rate `json:"rates"`
}

// newRatesReport reports the rates of decisions.
func newRatesReport(rates []schema.Rate) ratesReport {
	r := ratesReport{Students: []string{}, Styles: []string{}, Overall: []schema.Rate{}, Epochs: []epochRates{}}
	for _, x := range rates {
		if x.Total == 0 {
			continue
		}
		if x.Epoch == 0 {
			r.Overall = append(r.Overall, x)
			r.Decisions += x.Routed
			r.Students = append(r.Students, x.Student)
			r.Styles = append(r.Styles, x.Style)
			continue
		}
		if n := len(r.Epochs); n == 0 || r.Epochs[n-1].Epoch != x.Epoch {
			r.Epochs = append(r.Epochs, epochRates{Epoch: x.Epoch})
		}
		last := &r.Epochs[len(r.Epochs)-1]
		last.Rates = append(last.Rates, x)
	}
	r.Students = distinct(r.Students)
	r.Styles = distinct(r.Styles)
	return r
}

func distinct(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// rateGrid tabulates the rates of one epoch, students by styles, with a last
// column over all styles.
func rateGrid(rates []schema.Rate) *grid {
	at := map[cell]schema.Rate{}
	var styles, students []string
	for _, r := range rates {
		at[cell{0, r.Style, r.Student}] = r
		styles, students = append(styles, r.Style), append(students, r.Student)
	}
	styles, students = distinct(styles), distinct(students)
	g := &grid{head: slices.Concat([]string{"student"}, styles, []string{"every style"}), left: 1}
	for _, student := range students {
		row := []string{student}
		var k, n int
		for _, style := range styles {
			r := at[cell{0, style, student}]
			row = append(row, share(r.Routed, r.Total))
			k, n = k+r.Routed, n+r.Total
		}
		g.add(append(row, share(k, n))...)
	}
	return g
}

// weightGrid tabulates mean ensemble weights over all epochs, students by styles; nil
// where none is known.
func weightGrid(rates []schema.Rate) *grid {
	at := map[cell]string{}
	var styles, students []string
	for _, r := range rates {
		if r.Epoch == 0 && r.Weight > 0 {
			at[cell{0, r.Style, r.Student}] = fmt.Sprintf("%.3f", r.Weight)
			styles, students = append(styles, r.Style), append(students, r.Student)
		}
	}
	if len(at) == 0 {
		return nil
	}
	styles, students = distinct(styles), distinct(students)
	g := &grid{head: append([]string{"student"}, styles...), left: 1}
	for _, student := range students {
		row := []string{student}
		for _, style := range styles {
			row = append(row, orDash(at[cell{0, style, student}]))
		}
		g.add(row...)
	}
	return g
}

func ratesMarkdown(r ratesReport, weights *grid) string {
	var b strings.Builder
	b.WriteString("# Routing\n\nShare of each style's appearances that the router gave to each student, with counts.\n")
	switch {
	case r.Decisions > 0:
		fmt.Fprintf(&b, "\n## All epochs\n\n%s", rateGrid(r.Overall).markdown())
	case weights != nil:
		b.WriteString("\nThe router log holds weights and no decision.\n")
	default:
		b.WriteString("\nThe router log is empty.\n")
	}
	for _, e := range r.Epochs {
		fmt.Fprintf(&b, "\n## Epoch %d\n\n%s", e.Epoch, rateGrid(e.Rates).markdown())
	}
	if weights != nil {
		fmt.Fprintf(&b, "\n## Ensemble weights\n\nMean weight of each student in the ensemble, over all epochs.\n\n%s", weights.markdown())
	}
	return b.String()
}

func runPosrate(ctx context.Context, env *stage.Env, _ posrateConfig, in posrateIn, out posrateOut) error {
	t := newTally()
	total, err := in.Log.Count()
	if err != nil {
		return err
	}
	n := 0
	for d, err := range in.Log.All() {
		n++
		if err == nil {
			if err = t.add(d); err != nil {
				err = fmt.Errorf("decision %d (problem %q): %w", n, d.ID, err)
			}
		}
		if err != nil {
			return fmt.Errorf("the router log is damaged, make it again with train-moe: %w", err)
		}
		if n%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			env.Progress(stage.Progress{Done: int64(n), Total: total, Unit: "rows"})
		}
	}
	rates := t.rates()
	for _, r := range rates {
		if err := out.Rates.Write(r); err != nil {
			return err
		}
	}
	r := newRatesReport(rates)
	return writeReport(out.Report.Path, "rates", ratesMarkdown(r, weightGrid(rates)), r)
}
