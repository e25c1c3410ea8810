package analyze

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

// meanOfStudents is the system of the rows that average an arm's students.
const meanOfStudents = "mean"

type compareArmsConfig struct {
	Arms []string `json:"arms" required:"true" doc:"Names of the arms, in the order of the inputs. The runs of one arm are side by side; each arm has equally many. Gains are over the first."`
}

// Validate checks what tags cannot.
func (c compareArmsConfig) Validate() error {
	if len(c.Arms) == 0 {
		return stage.Invalid("arms", "names nobody: list the arms in the order of from")
	}
	for i, a := range c.Arms {
		if a == "" || slices.Contains(c.Arms[:i], a) {
			return stage.Invalid("arms", "%q is empty or named twice", a)
		}
	}
	return nil
}

// Wired implements [stage.Wired].
func (c compareArmsConfig) Wired(sources func(string) int) error {
	if n := sources("scores"); n%len(c.Arms) != 0 {
		return fmt.Errorf("%s cannot be shared out to %s: give each arm equally many runs", text.Plural(n, "input"), text.Plural(len(c.Arms), "arm"))
	}
	return nil
}

type compareArmsIn struct {
	Scores []stage.Rows[schema.Score] `port:"scores" doc:"Of evaluate-students: the runs of the first arm, then those of the second, and so on."`
}

type compareArmsOut struct {
	Table  *stage.Writer[schema.ArmScore] `port:"table" doc:"A row for each task, arm and trained student, and one for the mean of the arm's students."`
	Report *stage.OutDir                  `port:"report" doc:"arms.md and arms.json."`
}

// CompareArms is the stage type compare-arms.
var CompareArms = stage.Define(stage.Spec{
	Type: "compare-arms", Version: 2, Class: stage.Pure,
	Doc: `Tabulates the arms of an experiment: the accuracy of their trained students over runs.

The runs of an arm are its seeds, the legs of a matrix. Accuracy is the mean of the
runs. Its 95 % interval spans both what chance of training and what chance of the
problems explains: Student's t over the runs, and Wilson's over the problems of one
run. A gain is over the first arm, of the mean of the students, run by run: the i-th
run of each arm has the same seed. Its interval is Student's t over these
differences, not corrected for the number of arms; a single run has none. p is that
of the sign-flip permutation test of the same differences, two-sided and, with up to
20 runs, exact: ten runs reach 0.002 at best, five 0.0625. p_holm is p with Holm's
correction for all the arms that are compared with the first in the task.`,
}, runCompareArms)

// armRun is one run: the trained students' scores in one task.
type armRun []schema.Score

// mean is the mean accuracy of the students.
func (r armRun) mean() float64 {
	sum := 0.0
	for _, s := range r {
		sum += s.Accuracy
	}
	return sum / float64(len(r))
}

func runCompareArms(_ context.Context, _ *stage.Env, c compareArmsConfig, in compareArmsIn, out compareArmsOut) error {
	each := len(in.Scores) / len(c.Arms)
	var tasks []string
	runs := make([]map[string]armRun, len(in.Scores)) // by task
	for i, rows := range in.Scores {
		runs[i] = map[string]armRun{}
		for s, err := range rows.All() {
			if err != nil {
				return err
			}
			if s.Kind != "trained" || s.Group != "" {
				continue
			}
			if s.Count < 1 {
				return fmt.Errorf("student %s has the score of no problem", s.System)
			}
			runs[i][s.Task] = append(runs[i][s.Task], s)
			if !slices.Contains(tasks, s.Task) {
				tasks = append(tasks, s.Task)
			}
		}
	}
	if len(tasks) == 0 {
		return errors.New("there is no score of a trained student")
	}
	slices.Sort(tasks)
	var table []schema.ArmScore
	for _, task := range tasks {
		var first []float64
		from := len(table)
		for a, arm := range c.Arms {
			var of []armRun
			for _, r := range runs[a*each : (a+1)*each] {
				of = append(of, r[task])
			}
			rows, means, err := scoreArm(arm, task, of)
			if err != nil {
				return err
			}
			if a == 0 {
				first = means
			} else {
				gain(&rows[len(rows)-1], means, first)
			}
			table = append(table, rows...)
		}
		holm(table[from:])
	}
	for _, r := range table {
		if err := out.Table.Write(r); err != nil {
			return err
		}
	}
	return writeReport(out.Report.Path, "arms", armsMarkdown(table), table)
}

// scoreArm gives the rows of one arm, the mean of its students last, and that mean in
// each run.
func scoreArm(arm, task string, runs []armRun) (rows []schema.ArmScore, means []float64, err error) {
	for i, r := range runs {
		same := len(r) > 0 && slices.EqualFunc(r, runs[0], func(a, b schema.Score) bool { return a.System == b.System && a.Count == b.Count })
		if !same {
			return nil, nil, fmt.Errorf("run %d of arm %s has no scores, or others than its first run, in task %s: an arm's runs are of the same students on the same problems", i+1, arm, task)
		}
		means = append(means, r.mean())
	}
	row := func(system string, accuracy []float64) {
		r := schema.ArmScore{Task: task, Arm: arm, System: system, Runs: len(accuracy), Problems: runs[0][0].Count}
		r.Accuracy, r.Low, r.High = meanAccuracy(accuracy, r.Problems)
		rows = append(rows, r)
	}
	for k, s := range runs[0] {
		var accuracy []float64
		for _, r := range runs {
			accuracy = append(accuracy, r[k].Accuracy)
		}
		row(s.System, accuracy)
	}
	row(meanOfStudents, means)
	return rows, means, nil
}

// meanAccuracy is the mean accuracy of runs on the same n problems. Its 95 % interval spans
// Student's t over the runs and Wilson's over the problems of one run.
func meanAccuracy(runs []float64, n int) (mean, low, high float64) {
	mean, half := studentT(runs)
	low, high = stats.Wilson(int(math.Round(mean*float64(n))), n, stats.Z95)
	return round6(mean), round6(max(0, min(low, mean-half))), round6(min(1, max(high, mean+half)))
}

// gain sets what an arm gains over the first.
func gain(r *schema.ArmScore, means, first []float64) {
	d := make([]float64, len(means))
	for i := range d {
		d[i] = means[i] - first[i]
	}
	m, half := studentT(d)
	point := func(x float64) *float64 { x = round6(x); return &x }
	r.Gain = point(m)
	if len(d) > 1 {
		r.GainLow, r.GainHigh = point(m-half), point(m+half)
		r.P = point(stats.SignFlip(d))
	}
}

// holm corrects the values of p of one task.
func holm(rows []schema.ArmScore) {
	var tested []*schema.ArmScore
	var p []float64
	for i := range rows {
		if r := &rows[i]; r.P != nil {
			tested, p = append(tested, r), append(p, *r.P)
		}
	}
	for i, q := range stats.Holm(p) {
		q = round6(q)
		tested[i].PHolm = &q
	}
}

// t95 are the 0.975 quantiles of Student's t with 1, 2, ... degrees of freedom.
var t95 = []float64{12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860}

// studentT gives the mean, and half the width of its 95 % interval: 0 for one value.
// Beyond the table its last quantile stands, which errs on the wide side.
func studentT(x []float64) (mean, half float64) {
	n := float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	if len(x) < 2 {
		return mean, 0
	}
	ss := 0.0
	for _, v := range x {
		ss += (v - mean) * (v - mean)
	}
	return mean, t95[min(len(x)-2, len(t95)-1)] * math.Sqrt(ss/(n-1)/n)
}

// armGrid has a row for each task and arm, and a column for each student.
func armGrid(table []schema.ArmScore) *grid {
	var systems []string
	for _, r := range table {
		if r.System != meanOfStudents && !slices.Contains(systems, r.System) {
			systems = append(systems, r.System)
		}
	}
	systems = append(systems, meanOfStudents)
	g := &grid{head: append([]string{"task", "arm"}, systems...), left: 2}
	g.head = append(g.head, "gain", "p", "p (Holm)", "runs")
	for i := 0; i < len(table); {
		task, arm := table[i].Task, table[i].Arm
		cells := map[string]string{}
		gained, runs, p, corrected := "-", "", "-", "-"
		for ; i < len(table) && table[i].Task == task && table[i].Arm == arm; i++ {
			r := table[i]
			cells[r.System] = fmt.Sprintf("%s (%s)", percent(r.Accuracy), interval(r.Low, r.High))
			runs = fmt.Sprint(r.Runs)
			if r.Gain != nil {
				gained = fmt.Sprintf("%+.1f", 100**r.Gain)
			}
			if r.P != nil && r.PHolm != nil {
				p, corrected = fmt.Sprintf("%.3f", *r.P), fmt.Sprintf("%.3f", *r.PHolm)
			}
			if r.GainLow != nil && r.GainHigh != nil {
				gained += fmt.Sprintf(" (%+.1f to %+.1f)", 100**r.GainLow, 100**r.GainHigh)
			}
		}
		row := []string{orDash(task), arm}
		for _, s := range systems {
			row = append(row, orDash(cells[s]))
		}
		g.add(append(row, gained, p, corrected, runs)...)
	}
	return g
}

func armsMarkdown(table []schema.ArmScore) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Arms\n\nAccuracy on held-out problems, mean of the runs with 95 %% intervals. Gain is that of the mean of the students over arm %s, in points, run by run; p is of the sign-flip test over the runs, then with Holm's correction.\n\n", table[0].Arm)
	b.WriteString(armGrid(table).markdown())
	return b.String()
}
