package train

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

// system is one way to answer the test problems.
type system struct {
	name, kind, note string
	answers          []answered // by problem; of a bound, a right one where there is any
}

func (s system) is(kind string) bool { return strings.HasPrefix(s.kind, kind) }

// writeResults writes predictions and, for each task, the scores of all systems, those by
// the values of fields and by styles, and comparisons. routed is as [systems] takes it.
func writeResults(test []schema.Problem, jobs []job, routed []int, by []string, out evalOut) error {
	for _, j := range jobs {
		if err := writePredictions(j, out.Predictions); err != nil {
			return err
		}
	}
	all, students, err := systems(test, jobs, routed)
	if err != nil {
		return err
	}
	tasks := map[string][]int{}
	for i, p := range test {
		tasks[p.Task] = append(tasks[p.Task], i)
	}
	for _, task := range slices.Sorted(maps.Keys(tasks)) {
		rows := tasks[task]
		own, err := withMajority(all, test, rows)
		if err != nil {
			return err
		}
		if err := writeScores(out.Scores, own, task, "", rows); err != nil {
			return err
		}
		for _, c := range compare(own, students, rows) {
			c.Task = task
			if err := out.Comparisons.Write(c); err != nil {
				return err
			}
		}
		for _, field := range by {
			groups := groupsBy(test, rows, field)
			for _, value := range slices.Sorted(maps.Keys(groups)) {
				if len(groups[value]) == len(rows) {
					continue // the scores of the task
				}
				own, err := withMajority(all, test, groups[value])
				if err != nil {
					return err
				}
				if err := writeScores(out.Scores, own, task, field+"="+value, groups[value]); err != nil {
					return err
				}
			}
		}
		if err := writeStyles(out.Scores, jobs, task); err != nil {
			return err
		}
	}
	return nil
}

// writeStyles writes the scores of students that were asked in styles.
func writeStyles(out *stage.Writer[schema.Score], jobs []job, task string) error {
	for _, j := range jobs {
		if j.kind != kindStyled {
			continue
		}
		var rows []int
		for i, p := range j.problems {
			if p.Task == task {
				rows = append(rows, i)
			}
		}
		if len(rows) == 0 {
			continue
		}
		s := system{j.name, kindTrained, "asked in the style", j.answers}
		if err := writeScores(out, []system{s}, task, "style="+j.style, rows); err != nil {
			return err
		}
	}
	return nil
}

func writePredictions(j job, out *stage.Writer[schema.Prediction]) error {
	if j.kind == kindDev {
		return nil
	}
	for i, a := range j.answers {
		p := j.problems[i/j.each()]
		x := schema.Prediction{
			ID: p.ID, Task: p.Task, System: j.name, Kind: j.kind, Style: j.style, Reasoning: a.thought, Response: a.text,
			Pred: a.pred, Gold: p.GoldAnswer, Correct: a.correct, LogProb: a.perByte,
		}
		if j.kind == kindStyled {
			x.Kind = kindTrained
		}
		if j.samples > 0 {
			x.Sample = i%j.samples + 1
		}
		if err := out.Write(x); err != nil {
			return err
		}
	}
	return nil
}

// groupsBy are the problems among rows by their value of a field of their own.
func groupsBy(test []schema.Problem, rows []int, field string) map[string][]int {
	groups := map[string][]int{}
	for _, i := range rows {
		if v := gjson.ParseBytes(test[i].Extra.Get(field)).String(); v != "" {
			groups[v] = append(groups[v], i)
		}
	}
	return groups
}

func writeScores(out *stage.Writer[schema.Score], all []system, task, group string, rows []int) error {
	for _, s := range all {
		x := schema.Score{System: s.name, Kind: s.kind, Task: task, Group: group, Count: len(rows), Note: s.note}
		for _, i := range rows {
			if s.answers[i].correct {
				x.Correct++
			}
			if s.answers[i].pred == "" {
				x.Unanswered++
			}
		}
		x.Accuracy = float64(x.Correct) / float64(x.Count)
		x.Low, x.High = stats.Wilson(x.Correct, x.Count, stats.Z95)
		if err := out.Write(x); err != nil {
			return err
		}
	}
	return nil
}

// systems lists what the jobs' answers make, and how many students there are. What says
// nothing with one student is left out. routed is the router's student for each problem,
// nil without a router.
func systems(test []schema.Problem, jobs []job, routed []int) (all []system, students int, err error) {
	var trained, dev, samples [][]answered
	var names []string
	for _, j := range jobs {
		switch j.kind {
		case kindTrained:
			trained, names = append(trained, j.answers), append(names, j.name)
		case kindDev:
			dev = append(dev, j.answers)
		case kindSample:
			samples = append(samples, j.answers)
		}
		if j.kind == kindTrained || j.kind == kindUntrained {
			all = append(all, system{name: j.name, kind: j.kind, answers: j.answers})
		}
	}
	students = len(trained)
	ids := make([]string, len(test))
	for i, p := range test {
		ids[i] = p.ID
	}
	cal := calibrate(ids, trained, dev)
	var bounds []system
	if students > 1 {
		picked, any := make([]answered, len(test)), make([]answered, len(test))
		for i, s := range cal.picks(trained) {
			picked[i] = trained[s][i]
			for _, t := range trained {
				any[i] = better(any[i], t[i])
			}
		}
		note := "log-probability per byte, each half of the problems calibrated on the other"
		if dev != nil {
			note = "log-probability per byte, calibrated on the dev problems"
		}
		all = append(all, system{"ensemble", kindEnsemble, note, picked})
		if routed != nil {
			one, picked := make([]answered, len(test)), make([]int, students)
			for i, s := range routed {
				one[i] = trained[s][i]
				picked[s]++
			}
			note := "the student that the router prefers for the question" + outOfDistribution
			for s, n := range picked {
				note += fmt.Sprintf(", %s for %d", names[s], n)
			}
			all = append(all, system{"routed", kindRouted, note, one})
		}
		bounds = append(bounds, system{"oracle", kindBound, fmt.Sprintf("any of %d students is right; a bound, not a system", students), any})
	}
	if samples == nil {
		return append(all, bounds...), students, nil
	}
	k := len(samples[0]) / len(test)
	budgets := []int{k}
	if students > 1 && students < k {
		budgets = []int{students, k}
	}
	for _, n := range budgets {
		draw := func(voter, bound, note string, of func(i, sample int) (student int, a answered)) error {
			vote, pass := make([]answered, len(test)), make([]answered, len(test))
			for i, p := range test {
				q, err := answer.Of(p)
				if err != nil {
					return err
				}
				var ballots []ballot
				for x := range n {
					s, a := of(i, x)
					ballots = append(ballots, ballot{a, cal.sure(i, s, a)})
					pass[i] = better(pass[i], a)
				}
				vote[i] = elect(q, ballots)
			}
			suffix := fmt.Sprint(n)
			all = append(all, system{voter, kindVote + suffix, "the most frequent of " + suffix + " samples" + note, vote})
			bounds = append(bounds, system{bound, kindPass + suffix, "any of " + suffix + " samples" + note + " is right; a bound, not a system", pass})
			return nil
		}
		for s, name := range names {
			if err := draw(name, name, "", func(i, x int) (int, answered) { return s, samples[s][i*k+x] }); err != nil {
				return nil, 0, err
			}
		}
		if students > 1 {
			if err := draw("ensemble", "oracle", fmt.Sprintf(" of %d students", students), func(i, x int) (int, answered) {
				s := x % students
				return s, samples[s][i*k+x/students]
			}); err != nil {
				return nil, 0, err
			}
			if routed == nil {
				continue
			}
			if err := draw("routed", "routed", " of the student that the router prefers"+outOfDistribution, func(i, x int) (int, answered) {
				return routed[i], samples[routed[i]][i*k+x]
			}); err != nil {
				return nil, 0, err
			}
		}
	}
	return append(all, bounds...), students, nil
}

// outOfDistribution is what to know of the router's picks.
const outOfDistribution = " (out of distribution: it learned on paths, not on questions)"

// better is a right answer where there is any, and else one that says something.
func better(a, b answered) answered {
	if b.correct && !a.correct || a.pred == "" {
		return b
	}
	return a
}

// withMajority adds the most frequent gold answer among rows, before the bounds.
func withMajority(all []system, test []schema.Problem, rows []int) ([]system, error) {
	best, right, err := majority(test, rows)
	if err != nil {
		return nil, err
	}
	m := system{"majority", kindBaseline, "always " + best + ", the most frequent gold answer of these problems", make([]answered, len(test))}
	for _, i := range rows {
		m.answers[i] = answered{pred: best, correct: right[i]}
	}
	at := slices.IndexFunc(all, system.bound)
	if at < 0 {
		at = len(all)
	}
	return slices.Insert(slices.Clone(all), at, m), nil
}

// bound reports whether the system is none, but tells what one could reach.
func (s system) bound() bool { return s.is(kindBound) || s.is(kindPass) }

// compare tests the pairs of systems that a reader compares.
func compare(all []system, students int, rows []int) (out []schema.Comparison) {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if !compared(a, b, students) && !compared(b, a, students) {
				continue
			}
			c := schema.Comparison{A: a.name, AKind: a.kind, B: b.name, BKind: b.kind, Count: len(rows)}
			for _, r := range rows {
				switch x, y := a.answers[r].correct, b.answers[r].correct; {
				case x && !y:
					c.OnlyA++
				case y && !x:
					c.OnlyB++
				}
			}
			c.Difference = float64(c.OnlyA-c.OnlyB) / float64(c.Count)
			c.P = stats.McNemar(c.OnlyA, c.OnlyB)
			out = append(out, c)
		}
	}
	return out
}

// compared reports whether a reader compares a with b: what was trained with the same
// untrained, and systems of equal cost with each other.
func compared(a, b system, students int) bool {
	switch {
	case a.bound() || b.bound():
		return false
	case a.is(kindUntrained):
		return b.is(kindTrained) && a.name == b.name
	case a.is(kindBaseline):
		return b.greedy() || b.is(kindEnsemble)
	case a.is(kindVote):
		return a.kind == b.kind || b.greedy() && a.name == b.name ||
			b.is(kindEnsemble) && a.kind == kindVote+fmt.Sprint(students)
	}
	return (a.greedy() || a.is(kindEnsemble)) && (b.greedy() || b.is(kindEnsemble))
}

// greedy reports whether the system gives one greedy answer of a trained student.
func (s system) greedy() bool { return s.is(kindTrained) || s.is(kindRouted) }
