package analyze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

// allStyles is the style of the rows that add up every style.
const allStyles = "all"

type accuracyConfig struct{}

type accuracyIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems whose paths were graded by verify-math or verify-choice (its port all)."`
}

type accuracyOut struct {
	Table  *stage.Writer[schema.Accuracy] `port:"table" doc:"One row per task, provider and style; style \"all\", which comes first, adds up the styles."`
	Report *stage.OutDir                  `port:"report" doc:"accuracy.md and accuracy.json."`
}

// Accuracy is the stage type accuracy.
var Accuracy = stage.Define(stage.Spec{
	Type: "accuracy", Version: 1, Class: stage.Pure,
	Doc: `Tabulates how often the teacher was right, per task, reasoning style and provider.

Accuracy is correct paths / paths, so a request without an answer and an answer
that could not be read both count as wrong; the columns answered and parsed tell
them apart. Low and high are the Wilson 95 % interval. Paths that were answered
but never graded count as wrong with a warning, and a table of nothing but those
is an error. A line that is not a problem is an error too.`,
}, runAccuracy)

// group is one row of the accuracy table.
type group struct{ task, provider, style string }

// accuracyTally counts graded paths.
type accuracyTally struct {
	rows     map[group]*schema.Accuracy
	paths    int
	graded   int
	ungraded int // answered, but no verdict
}

func (a *accuracyTally) add(p schema.Problem) error {
	for i, path := range p.Paths {
		if path.Style == allStyles {
			return fmt.Errorf("paths[%d] has the style %q, which names the totals here; call the style something else", i, allStyles)
		}
		a.paths++
		switch {
		case path.Correct != nil:
			a.graded++
		case path.Answered():
			a.ungraded++
		}
		for _, style := range []string{allStyles, path.Style} {
			g := group{p.Task, path.Provider, style}
			r := a.rows[g]
			if r == nil {
				r = &schema.Accuracy{Task: g.task, Style: g.style, Provider: g.provider}
				a.rows[g] = r
			}
			r.Paths++
			if path.Answered() {
				r.Answered++
			}
			if path.Pred != "" {
				r.Parsed++
			}
			if path.IsCorrect() {
				r.Correct++
			}
		}
	}
	return nil
}

// table lists the rows ordered by task, provider and style, the total first.
func (a *accuracyTally) table() []schema.Accuracy {
	order := func(x, y group) int {
		total := func(g group) int {
			if g.style == allStyles {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.task, y.task), cmp.Compare(x.provider, y.provider),
			cmp.Compare(total(x), total(y)), cmp.Compare(x.style, y.style))
	}
	out := []schema.Accuracy{}
	for _, g := range slices.SortedFunc(maps.Keys(a.rows), order) {
		r := *a.rows[g]
		r.Accuracy = float64(r.Correct) / float64(r.Paths)
		low, high := stats.Wilson(r.Correct, r.Paths, stats.Z95)
		// Processors that fuse multiply and add differ in the last bits, and
		// those must not reach the cache.
		r.Low, r.High = round6(low), round6(high)
		out = append(out, r)
	}
	return out
}

func round6(x float64) float64 { return math.Round(x*1e6) / 1e6 }

// accuracyReport is accuracy.json.
type accuracyReport struct {
	Problems int               `json:"problems"`
	Paths    int               `json:"paths"`
	Table    []schema.Accuracy `json:"table"`
}

func accuracyGrid(rows []schema.Accuracy) *grid {
	g := &grid{head: []string{"task", "provider", "style", "accuracy", "95 % interval", "correct", "paths", "answered", "parsed"}, left: 3}
	for _, r := range rows {
		g.add(orDash(r.Task), orDash(r.Provider), orDash(r.Style), percent(r.Accuracy), interval(r.Low, r.High),
			fmt.Sprint(r.Correct), fmt.Sprint(r.Paths), fmt.Sprint(r.Answered), fmt.Sprint(r.Parsed))
	}
	return g
}

func accuracyMarkdown(r accuracyReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Accuracy\n\n%d problems, %d reasoning paths. Accuracy is correct / paths; the interval is Wilson's.\n\n", r.Problems, r.Paths)
	if r.Paths == 0 {
		b.WriteString("There are no paths.\n")
		return b.String()
	}
	b.WriteString(accuracyGrid(r.Table).markdown())
	return b.String()
}

func runAccuracy(ctx context.Context, env *stage.Env, _ accuracyConfig, in accuracyIn, out accuracyOut) error {
	a := &accuracyTally{rows: map[group]*schema.Accuracy{}}
	total, err := in.Rows.Count()
	if err != nil {
		return err
	}
	n := 0
	for p, err := range in.Rows.All() {
		if err != nil {
			return fmt.Errorf("counting graded paths: %w", err)
		}
		n++
		if err := a.add(p); err != nil {
			return fmt.Errorf("problem %q: %w", p.ID, err)
		}
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			env.Progress(stage.Progress{Done: int64(n), Total: total, Unit: "rows"})
		}
	}
	if a.ungraded > 0 && a.graded == 0 {
		return errors.New("no path was graded; connect the port \"all\" of a verify-math or verify-choice stage")
	}
	if a.ungraded > 0 {
		env.Warn("%d of %d paths were answered but never graded; they count as wrong", a.ungraded, a.paths)
	}
	r := accuracyReport{Problems: n, Paths: a.paths, Table: a.table()}
	for _, row := range r.Table {
		if err := out.Table.Write(row); err != nil {
			return err
		}
	}
	return writeReport(out.Report.Path, "accuracy", accuracyMarkdown(r), r)
}
