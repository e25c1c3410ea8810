package analyze

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type compareRoutersConfig struct {
	Cells     []string `json:"cells" required:"true" doc:"The styles of the runs at oracle, in the order of the inputs. The runs of one style are side by side; each has equally many."`
	Arms      []string `json:"arms" required:"true" doc:"Names of the routers, in the order of the inputs at logs. The runs of one are side by side; each has equally many."`
	ProbeDims []int    `json:"probe_dims" default:"[]" doc:"With paths: widths of hashed encodings to probe."`
}

// Validate checks what tags cannot.
func (c compareRoutersConfig) Validate() error {
	for field, names := range map[string][]string{"cells": c.Cells, "arms": c.Arms} {
		if len(names) == 0 {
			return stage.Invalid(field, "names nobody: list them in the order of the inputs")
		}
		for i, n := range names {
			if n == "" || slices.Contains(names[:i], n) {
				return stage.Invalid(field, "%q is empty or named twice", n)
			}
		}
	}
	for _, d := range c.ProbeDims {
		if d < 1 {
			return stage.Invalid("probe_dims", "%d: widths are positive", d)
		}
	}
	return nil
}

// Estimate implements [stage.Estimator].
func (c compareRoutersConfig) Estimate(context.Context, stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"cells": stage.Exactly(float64(len(c.Cells)))}}, nil
}

// Wired implements [stage.Wired].
func (c compareRoutersConfig) Wired(sources func(string) int) error {
	if n := sources("oracle"); n%len(c.Cells) != 0 {
		return fmt.Errorf("%d inputs at oracle cannot be shared out to %d cells: give each style equally many runs", n, len(c.Cells))
	}
	if n := sources("logs"); n%len(c.Arms) != 0 {
		return fmt.Errorf("%d inputs at logs cannot be shared out to %d arms: give each arm equally many runs", n, len(c.Arms))
	}
	return nil
}

type compareRoutersIn struct {
	Oracle []stage.Rows[schema.Score]          `port:"oracle" doc:"Of evaluate-students: the runs of students that learned the first style alone, then the second, and so on."`
	Logs   []stage.Rows[schema.RouterDecision] `port:"logs" doc:"Router logs of train-moe: the runs of the first arm, then those of the second, and so on. The last epoch counts."`
	Paths  stage.Rows[schema.Problem]          `port:"paths,optional" doc:"The paths that were routed, for probes: how well a classifier that is told the better student finds it from the same encodings."`
}

type compareRoutersOut struct {
	Table  *stage.Writer[schema.RouterScore] `port:"table" doc:"A row for each arm, for the most frequent answer, and for each probe."`
	Cells  *stage.Writer[schema.OracleCell]  `port:"cells" doc:"A row for each style: the student that learns it better alone, and how often each arm chose that student."`
	Report *stage.OutDir                     `port:"report" doc:"routers.md and routers.json."`
}

// CompareRouters is the stage type compare-routers.
var CompareRouters = stage.Define(stage.Spec{
	Type: "compare-routers", Version: 1, Class: stage.Pure,
	Doc: `Compares routers' decisions with what runs of one style alone say: the oracle.

The better student of a style is the one with the higher mean accuracy over runs in
which both learned that style and nothing else. The style is clear where the 95 %
interval of its lead over the next best student, Student's t over the runs, excludes
zero; the other styles count for nothing.

An arm's balanced accuracy is the mean, over the students that are better at some clear
style, of the share of those styles' paths that went to them in the last epoch: a router
that knows nothing has 1 / students. Its interval is Student's t over runs. Accuracy is
the share of all paths of clear styles.

A probe is a linear classifier that reads the router's hashed encodings and is told the
better student on half of the problems; its figures are on the other half, over five
draws of the encodings.`,
}, runCompareRouters)

func runCompareRouters(_ context.Context, env *stage.Env, c compareRoutersConfig, in compareRoutersIn, out compareRoutersOut) error {
	cells, err := oracle(c.Cells, in.Oracle)
	if err != nil {
		return err
	}
	better := map[string]string{} // by clear style
	for _, x := range cells {
		if x.Clear {
			better[x.Cell] = x.Better
		}
	}
	if len(better) == 0 {
		return errors.New("no style is clear: the oracle's runs differ as much as the students do; run more seeds")
	}
	if len(distinct(slices.Collect(maps.Values(better)))) < 2 {
		env.Warn("one student is better at every clear style: whoever gives it everything is always right")
	}
	each := len(in.Logs) / len(c.Arms)
	var table []schema.RouterScore
	for a, arm := range c.Arms {
		var runs []decided
		for _, log := range in.Logs[a*each : (a+1)*each] {
			d, err := lastEpoch(log)
			if err != nil {
				return err
			}
			runs = append(runs, d)
		}
		for i := range cells {
			right, all := 0, 0
			for _, d := range runs {
				right += d[cells[i].Cell][cells[i].Better]
				all += total(d[cells[i].Cell])
			}
			if all > 0 {
				cells[i].Agreement[arm] = round6(float64(right) / float64(all))
			}
		}
		row, err := agreement(arm, runs, better)
		if err != nil {
			return fmt.Errorf("arm %s: %w", arm, err)
		}
		if a == 0 {
			table = append(table, mostFrequent(runs[0], better))
		}
		table = append(table, row)
	}
	if in.Paths.Given() {
		rows, err := probes(c.ProbeDims, in.Paths, better)
		if err != nil {
			return err
		}
		table = append(table, rows...)
	}
	for _, r := range table {
		if err := out.Table.Write(r); err != nil {
			return err
		}
	}
	for _, x := range cells {
		if err := out.Cells.Write(x); err != nil {
			return err
		}
	}
	return writeReport(out.Report.Path, "routers", routersMarkdown(c.Arms, table, cells), struct {
		Routers []schema.RouterScore `json:"routers"`
		Cells   []schema.OracleCell  `json:"cells"`
	}{table, cells})
}

// oracle finds the better student of each style.
func oracle(styles []string, runs []stage.Rows[schema.Score]) ([]schema.OracleCell, error) {
	each := len(runs) / len(styles)
	var cells []schema.OracleCell
	for i, style := range styles {
		accuracy := map[string][]float64{}
		var students []string // in the order of the scores
		for _, rows := range runs[i*each : (i+1)*each] {
			for s, err := range rows.All() {
				if err != nil {
					return nil, err
				}
				if s.Kind != "trained" || s.Group != "" {
					continue
				}
				if accuracy[s.System] == nil {
					students = append(students, s.System)
				}
				accuracy[s.System] = append(accuracy[s.System], s.Accuracy)
			}
		}
		if len(students) < 2 {
			return nil, fmt.Errorf("style %s has scores of %d trained students at oracle: there is no better one", style, len(students))
		}
		for _, s := range students {
			if len(accuracy[s]) != each {
				return nil, fmt.Errorf("style %s has %d scores of student %s in %d runs: give each run one task", style, len(accuracy[s]), s, each)
			}
		}
		mean := func(s string) float64 { m, _ := studentT(accuracy[s]); return m }
		slices.SortStableFunc(students, func(a, b string) int {
			switch d := mean(b) - mean(a); {
			case d > 0:
				return 1
			case d < 0:
				return -1
			}
			return 0
		})
		lead := make([]float64, each)
		for k := range lead {
			lead[k] = accuracy[students[0]][k] - accuracy[students[1]][k]
		}
		m, half := studentT(lead)
		x := schema.OracleCell{
			Cell: style, Runs: each, Better: students[0], Accuracy: map[string]float64{}, Agreement: map[string]float64{},
			Lead: round6(m), Low: round6(m - half), High: round6(m + half), Clear: each > 1 && m-half > 0,
		}
		for _, s := range students {
			x.Accuracy[s] = round6(mean(s))
		}
		cells = append(cells, x)
	}
	return cells, nil
}

// decided counts the paths by style and student.
type decided map[string]map[string]int

func total(of map[string]int) (n int) {
	for _, k := range of {
		n += k
	}
	return n
}

// lastEpoch counts the decisions of a log's last epoch.
func lastEpoch(log stage.Rows[schema.RouterDecision]) (decided, error) {
	d, last := decided{}, 0
	for r, err := range log.All() {
		if err != nil {
			return nil, err
		}
		if r.Epoch > last {
			d, last = decided{}, r.Epoch
		}
		if r.Epoch < last {
			continue
		}
		if d[r.Style] == nil {
			d[r.Style] = map[string]int{}
		}
		d[r.Style][r.Student]++
	}
	return d, nil
}

// agreement scores an arm's runs.
func agreement(arm string, runs []decided, better map[string]string) (schema.RouterScore, error) {
	row := schema.RouterScore{Router: arm, Runs: len(runs), Cells: len(better)}
	var balanced, plain []float64
	for _, d := range runs {
		right, all := map[string]int{}, map[string]int{} // by the better student
		for style, s := range better {
			if total(d[style]) == 0 {
				return row, fmt.Errorf("a log has no decision in the clear style %s", style)
			}
			right[s] += d[style][s]
			all[s] += total(d[style])
		}
		b := 0.0
		for s := range all {
			b += float64(right[s]) / float64(all[s]) / float64(len(all))
		}
		balanced, plain = append(balanced, b), append(plain, float64(total(right))/float64(total(all)))
		row.Decisions += total(all)
	}
	score(&row, balanced, plain)
	return row, nil
}

// score sets the figures of a row from those of its runs.
func score(row *schema.RouterScore, balanced, plain []float64) {
	m, half := studentT(balanced)
	row.Balanced, row.Low, row.High = round6(m), round6(max(0, m-half)), round6(min(1, m+half))
	m, _ = studentT(plain)
	row.Accuracy = round6(m)
}

// mostFrequent scores whoever always names the student that is better at most paths.
func mostFrequent(d decided, better map[string]string) schema.RouterScore {
	all := map[string]int{}
	for style, s := range better {
		all[s] += total(d[style])
	}
	most := 0
	for _, n := range all {
		most = max(most, n)
	}
	b := round6(1 / float64(len(all)))
	return schema.RouterScore{
		Router: "most frequent", Runs: 1, Cells: len(better), Decisions: total(all),
		Balanced: b, Low: b, High: b, Accuracy: round6(float64(most) / math.Max(1, float64(total(all)))),
	}
}

// routerGrid has a row for each router.
func routerGrid(table []schema.RouterScore) *grid {
	g := &grid{head: []string{"router", "balanced accuracy", "accuracy", "clear styles", "decisions", "runs"}, left: 1}
	for _, r := range table {
		g.add(r.Router, fmt.Sprintf("%s (%s)", percent(r.Balanced), interval(r.Low, r.High)), percent(r.Accuracy), fmt.Sprint(r.Cells), fmt.Sprint(r.Decisions), fmt.Sprint(r.Runs))
	}
	return g
}

func routersMarkdown(arms []string, table []schema.RouterScore, cells []schema.OracleCell) string {
	var b strings.Builder
	b.WriteString("# Routers\n\nHow often a router's last epoch agrees with runs of one style alone, over the styles in which these are clear; mean of the runs with 95 % intervals.\n\n")
	b.WriteString(routerGrid(table).markdown())
	b.WriteString("\n## Styles\n\nAccuracy of students that learned one style alone, the lead of the better one in points, and the share of the style's paths that each router gave to it.\n\n")
	var students []string
	for _, x := range cells {
		for s := range x.Accuracy {
			students = append(students, s)
		}
	}
	students = distinct(students)
	g := &grid{head: slices.Concat([]string{"style", "better"}, students, []string{"lead", "clear"}, arms), left: 2}
	for _, x := range cells {
		row := []string{x.Cell, x.Better}
		for _, s := range students {
			row = append(row, percent(x.Accuracy[s]))
		}
		clear := "no"
		if x.Clear {
			clear = "yes"
		}
		row = append(row, fmt.Sprintf("%+.1f (%+.1f to %+.1f)", 100*x.Lead, 100*x.Low, 100*x.High), clear)
		for _, a := range arms {
			row = append(row, percent(x.Agreement[a]))
		}
		g.add(row...)
	}
	b.WriteString(g.markdown())
	return b.String()
}
