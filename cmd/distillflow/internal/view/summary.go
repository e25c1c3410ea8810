package view

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
)

// Bounds of what Summary shows; more is left to [Show].
const (
	maxSystems  = 6 // with an accuracy of their own
	maxStyles   = 12
	maxStudents = 4
	maxPlaces   = 4
)

// Summary prints the end of a run: its figures in a few lines, what it made, what it
// cost, where its report is, if it has one, and the command that tells more.
func Summary(w io.Writer, r *runrecord.Run, report, next string) error {
	accuracy, err1 := runrecord.Read[schema.Accuracy](r)
	scores, err2 := runrecord.Read[schema.Score](r)
	rates, err3 := runrecord.Read[schema.Rate](r)
	arms, err4 := runrecord.Read[schema.ArmScore](r)
	errs := []error{err1, err2, err3, err4}

	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", name, value)
		}
	}
	line("teacher", teacherLine(flat(accuracy)))
	if len(arms) > 0 {
		line("arms", armsLine(flat(arms)))
	} else {
		line("students", studentsLine(flat(scores)))
	}
	errs = append(errs, tw.Flush())
	if len(arms) == 0 && len(rates) == 1 && small(rates[0].Rows) {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		errs = append(errs, analyze.Render(w, analyze.Report{Rates: rates[0].Rows, Short: true}))
	}
	if len(accuracy)+len(scores)+len(rates)+len(arms) > 0 {
		fmt.Fprintln(tw)
	}
	line("made", madeLine(r))
	line("cost", costLine(r))
	if report != "" {
		line("report", paths.Relative(report))
	}
	line("next", next)
	fmt.Fprintf(tw, "%s: %s, in %.1f s (run %s)\n", text.Plural(len(r.Stages), "stage"), states(r), r.Seconds, r.ID)
	return errors.Join(append(errs, tw.Flush())...)
}

func flat[T stage.Record](tables []runrecord.Table[T]) []T {
	var all []T
	for _, t := range tables {
		all = append(all, t.Rows...)
	}
	return all
}

// states counts the stages: "3 hit, 15 ran, 1 skipped".
func states(r *runrecord.Run) string {
	var parts []string
	for _, st := range []runrecord.State{runrecord.Running, runrecord.Waiting, runrecord.Ran, runrecord.Hit, runrecord.Failed, runrecord.Stopped, runrecord.Skipped} {
		n := 0
		for _, s := range r.Stages {
			if s.State == st {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, st))
		}
	}
	return strings.Join(parts, ", ")
}

// teacherLine says how often the teacher was right, and in which styles most and least.
func teacherLine(rows []schema.Accuracy) string {
	var all, styles []schema.Accuracy
	for _, a := range rows {
		if a.Style == "all" {
			all = append(all, a)
		} else if a.Paths > 0 {
			styles = append(styles, a)
		}
	}
	if len(all) == 0 {
		return ""
	}
	var parts []string
	for i, a := range all {
		if i == maxSystems {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s of %d paths right (%s)", text.OneLine(a.Task), percent(a.Accuracy), a.Paths, interval(a.Low, a.High)))
	}
	if len(all) == 1 && len(styles) > 1 {
		slices.SortStableFunc(styles, func(a, b schema.Accuracy) int { return cmp.Compare(b.Accuracy, a.Accuracy) })
		best, worst := styles[0], styles[len(styles)-1]
		parts = append(parts, fmt.Sprintf("most in %s (%s), least in %s (%s)", text.OneLine(best.Style), percent(best.Accuracy), text.OneLine(worst.Style), percent(worst.Accuracy)))
	}
	return strings.Join(parts, "; ")
}

// studentsLine says what the students score, beside themselves before training.
func studentsLine(rows []schema.Score) string {
	rows = slices.DeleteFunc(rows, func(s schema.Score) bool { return s.Group != "" })
	untrained := map[string]schema.Score{} // by task and system
	for _, s := range rows {
		if s.Kind == "untrained" {
			untrained[s.Task+"\x00"+s.System] = s
		}
	}
	var shown []schema.Score
	tasks := map[string]bool{}
	for _, s := range rows {
		if s.Kind == "trained" || s.Kind == "ensemble" {
			shown = append(shown, s)
			tasks[s.Task] = true
		}
	}
	var parts []string
	for i, s := range shown {
		if i == maxSystems {
			parts = append(parts, fmt.Sprintf("and %d more", len(shown)-i))
			break
		}
		name := s.System
		if len(tasks) > 1 {
			name = s.Task + " " + name
		}
		part := fmt.Sprintf("%s %s (%s)", text.OneLine(name), percent(s.Accuracy), interval(s.Low, s.High))
		if u, ok := untrained[s.Task+"\x00"+s.System]; ok {
			part += ", untrained " + percent(u.Accuracy)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// armsLine names the first arm and the best one, by the mean of their students.
func armsLine(rows []schema.ArmScore) string {
	rows = slices.DeleteFunc(rows, func(a schema.ArmScore) bool { return a.System != "mean" })
	if len(rows) == 0 {
		return ""
	}
	best := slices.MaxFunc(rows, func(a, b schema.ArmScore) int { return cmp.Compare(a.Accuracy, b.Accuracy) })
	tell := func(a schema.ArmScore) string {
		return fmt.Sprintf("%s %s (%s)", text.OneLine(a.Arm), percent(a.Accuracy), interval(a.Low, a.High))
	}
	if best.Arm == rows[0].Arm {
		return fmt.Sprintf("%s, the best of %d", tell(best), len(rows))
	}
	return fmt.Sprintf("%s; the best of %d is %s", tell(rows[0]), len(rows), tell(best))
}

// small reports whether a table of routing fits the end of a run.
func small(rates []schema.Rate) bool {
	styles, students := map[string]bool{}, map[string]bool{}
	for _, r := range rates {
		styles[r.Style], students[r.Student] = true, true
	}
	return len(styles) <= maxStyles && len(students) <= maxStudents
}

// madeLine says where the saved outputs are, by folder, and which stages made something
// that is not saved and that no other stage reads.
func madeLine(r *runrecord.Run) string {
	var folders, stored []string
	read := map[*runrecord.Stage]bool{}
	for _, s := range r.Stages {
		for _, in := range s.Inputs {
			read[in.Stage] = true
		}
	}
	files := map[string][]string{}
	for _, s := range r.Stages {
		for _, o := range s.Outputs {
			if o.Saved == "" {
				if name := text.OneLine(s.Name); !read[s] && !slices.Contains(stored, name) {
					stored = append(stored, name)
				}
				continue
			}
			dir := filepath.Dir(o.Saved)
			if files[dir] == nil {
				folders = append(folders, dir)
			}
			files[dir] = append(files[dir], o.Saved)
		}
	}
	var parts []string
	for i, dir := range folders {
		if i == maxPlaces {
			parts = append(parts, fmt.Sprintf("and %d more folders", len(folders)-i))
			break
		}
		if list := files[dir]; len(list) == 1 {
			parts = append(parts, text.OneLine(paths.Relative(list[0])))
		} else {
			parts = append(parts, fmt.Sprintf("%s (%d outputs)", text.OneLine(paths.Relative(dir)+string(filepath.Separator)), len(list)))
		}
	}
	if len(stored) == 0 {
		return strings.Join(parts, ", ")
	}
	return joinNonEmpty("; ", strings.Join(parts, ", "), "in the store: "+names(stored))
}

// costLine adds up what the stages that ran asked of models.
func costLine(r *runrecord.Run) string {
	sum := map[string]float64{}
	for _, s := range r.Stages {
		if _, asks := s.Stats["requests"]; !asks {
			continue
		}
		for name, v := range s.Stats {
			if name != "calls_per_second" {
				sum[name] += v
			}
		}
	}
	if len(sum) == 0 {
		return ""
	}
	return calls(sum)
}
