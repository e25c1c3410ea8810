package analyze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

type compareSystemsConfig struct{}

// Wired implements [stage.Wired].
func (compareSystemsConfig) Wired(sources func(string) int) error {
	if s, c := sources("scores"), sources("comparisons"); s != c {
		return fmt.Errorf("%d runs have scores and %d comparisons: give both of each run", s, c)
	}
	return nil
}

type compareSystemsIn struct {
	Scores      []stage.Rows[schema.Score]      `port:"scores" doc:"Of evaluate-students, one input a run: the seeds of one arm."`
	Comparisons []stage.Rows[schema.Comparison] `port:"comparisons" doc:"Of the same stages, in the same order."`
}

type compareSystemsOut struct {
	Table       *stage.Writer[schema.SystemScore]      `port:"table" doc:"A row for each task, group of problems and system."`
	Differences *stage.Writer[schema.SystemDifference] `port:"differences" doc:"A row for each pair of systems that evaluate-students compares."`
	Report      *stage.OutDir                          `port:"report" doc:"systems.md and systems.json."`
}

// CompareSystems is the stage type compare-systems.
var CompareSystems = stage.Define(stage.Spec{
	Type: "compare-systems", Version: 1, Class: stage.Pure,
	Doc: `Tabulates all systems of evaluate-students over several runs of one recipe.

The runs are its seeds; systems are students, ensembles, votes, routed picks, baselines and
bounds. compare-arms sets different recipes side by side.

Accuracy is the mean of the runs. Its 95 % interval spans both what chance of training
and what chance of the problems explains: Student's t over the runs, and Wilson's over the
problems of one run. A difference is that of two systems in each run, on the same
problems; its interval spans both, too, by Student's t over the runs and by the paired
answers of one run. One without 0 is a paired test at 5 %, not corrected for the number of
pairs.`,
}, runCompareSystems)

// systemsReport is systems.json.
type systemsReport struct {
	Systems     []schema.SystemScore      `json:"systems"`
	Differences []schema.SystemDifference `json:"differences"`
}

func runCompareSystems(_ context.Context, _ *stage.Env, _ compareSystemsConfig, in compareSystemsIn, out compareSystemsOut) error {
	scores, err := overRuns(in.Scores, func(s schema.Score) (schema.SystemScore, string, float64) {
		name := strings.TrimSpace(named(s.System, s.Kind) + " " + s.Group)
		return schema.SystemScore{Task: s.Task, Group: s.Group, System: s.System, Kind: s.Kind, Problems: s.Count}, name, s.Accuracy
	})
	if err != nil {
		return err
	}
	pairs, err := overRuns(in.Comparisons, func(c schema.Comparison) (schema.SystemDifference, string, float64) {
		name := named(c.A, c.AKind) + " against " + named(c.B, c.BKind)
		return schema.SystemDifference{Task: c.Task, A: c.A, AKind: c.AKind, B: c.B, BKind: c.BKind, Problems: c.Count}, name, c.Difference
	})
	if err != nil {
		return err
	}
	if len(scores) == 0 {
		return errors.New("there is no score")
	}
	var r systemsReport
	for _, s := range scores {
		s.row.Runs = len(s.values)
		s.row.Accuracy, s.row.Low, s.row.High = meanAccuracy(s.values, s.row.Problems)
		r.Systems = append(r.Systems, s.row)
		if err := out.Table.Write(s.row); err != nil {
			return err
		}
	}
	for _, p := range pairs {
		m, half := studentT(p.values)
		half = max(half, ofProblems(p.records))
		p.row.Runs, p.row.Difference, p.row.Low, p.row.High = len(p.values), round6(m), round6(m-half), round6(m+half)
		r.Differences = append(r.Differences, p.row)
		if err := out.Differences.Write(p.row); err != nil {
			return err
		}
	}
	return writeReport(out.Report.Path, "systems", systemsMarkdown(r), r)
}

// ofProblems is half the width of the 95 % interval of a difference that the problems of one
// run explain, by the variance (b+c)/n - d² of paired answers of which b and c of n are right in
// one system only, d = (b-c)/n, as it is in the mean of the runs (A. Agresti, Categorical Data
// Analysis, on dependent proportions).
func ofProblems(runs []schema.Comparison) float64 {
	variance := 0.0
	for _, c := range runs {
		n := float64(c.Count)
		d := float64(c.OnlyA-c.OnlyB) / n
		variance += (float64(c.OnlyA+c.OnlyB)/n - d*d) / n / float64(len(runs))
	}
	return stats.Z95 * math.Sqrt(max(0, variance))
}

// measuredRow is a row without its values, and what all runs have of it.
type measuredRow[T any, R comparable] struct {
	row     R
	values  []float64
	records []T
}

// overRuns collects the values of equal rows over runs, in the order of the first run. All
// runs must have the same rows, once. of gives a record's row, its name and its value.
func overRuns[T stage.Record, R comparable](runs []stage.Rows[T], of func(T) (R, string, float64)) ([]measuredRow[T, R], error) {
	at := map[R]int{}
	var out []measuredRow[T, R]
	for i, rows := range runs {
		n := 0
		for x, err := range rows.All() {
			if err != nil {
				return nil, err
			}
			row, name, v := of(x)
			k, known := at[row]
			if !known && i == 0 {
				k, known = len(out), true
				at[row] = k
				out = append(out, measuredRow[T, R]{row: row})
			}
			if !known || len(out[k].values) != i {
				return nil, fmt.Errorf("run %d has %s on other problems than the first run, or twice, or the first run has none: all runs need the same systems on the same problems", i+1, name)
			}
			out[k].values, out[k].records = append(out[k].values, v), append(out[k].records, x)
			n++
		}
		if n != len(out) {
			return nil, fmt.Errorf("run %d has %d rows, and the first run %d: all runs need the same systems on the same problems", i+1, n, len(out))
		}
	}
	return out, nil
}

// systemGrid has a row for each system.
func systemGrid(systems []schema.SystemScore) *grid {
	g := &grid{head: []string{"task", "problems", "system", "kind", "accuracy", "95 % interval", "runs"}, left: 4}
	for _, s := range systems {
		g.add(orDash(s.Task), cmp.Or(s.Group, "all"), s.System, s.Kind, percent(s.Accuracy), interval(s.Low, s.High), fmt.Sprint(s.Runs))
	}
	return g
}

// differenceGrid has a row for each pair of systems, in points.
func differenceGrid(differences []schema.SystemDifference) *grid {
	g := &grid{head: []string{"task", "system", "against", "difference", "95 % interval"}, left: 3}
	for _, d := range differences {
		g.add(orDash(d.Task), named(d.A, d.AKind), named(d.B, d.BKind), fmt.Sprintf("%+.1f", 100*d.Difference), fmt.Sprintf("%+.1f to %+.1f", 100*d.Low, 100*d.High))
	}
	return g
}

func systemsMarkdown(r systemsReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Systems\n\nAccuracy on held-out problems, mean of the runs with 95 %% intervals.\n\n%s", systemGrid(r.Systems).markdown())
	if len(r.Differences) > 0 {
		fmt.Fprintf(&b, "\nDifferences in points, mean of the runs with 95 %% intervals.\n\n%s", differenceGrid(r.Differences).markdown())
	}
	return b.String()
}
