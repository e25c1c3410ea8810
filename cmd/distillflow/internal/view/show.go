package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
)

// Show prints all about a run that is not its rows: how it was started, its stages, what
// they did not pass on and why, and every table of figures.
func Show(w io.Writer, r *runrecord.Run) error {
	if err := errors.Join(head(w, r), stageTable(w, r)); err != nil {
		return err
	}
	return errors.Join(gone(w, errors.Join(dropTable(w, r), Tables(w, r, false))), warnings(w, r))
}

// gone tells which outputs the store no longer holds, and returns all other errors.
func gone(w io.Writer, err error) error {
	if err == nil {
		return nil
	}
	var labels []string
	var errs []error
	for _, e := range Errors(err) {
		var g *runrecord.GoneError
		switch {
		case !errors.As(e, &g):
			errs = append(errs, e)
		case !slices.Contains(labels, g.Output.Label()):
			labels = append(labels, g.Output.Label())
		}
	}
	if len(labels) > 0 {
		fmt.Fprintf(w, "\nNo longer in the store: %s. Run the recipe again to have them made.\n", text.OneLine(strings.Join(labels, ", ")))
	}
	return errors.Join(errs...)
}

func head(w io.Writer, r *runrecord.Run) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, value string) {
		if value = text.OneLine(value); value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", name, value)
		}
	}
	line("run", r.ID)
	line("recipe", r.Recipe)
	line("about", r.Resolved.Description)
	status := r.Status
	if r.Paused {
		status += ", paused"
	}
	line("status", status)
	line("started", r.Started.UTC().Format(time.RFC3339))
	line("took", duration(time.Duration(r.Seconds*float64(time.Second))))
	line("seed", strconv.FormatUint(r.Given.Seed, 10))
	line("profile", r.Given.Profile)
	if r.Resolved.Locked {
		line("lock", "followed")
	}
	for _, p := range r.Resolved.Params {
		value := string(p.Value)
		var s string
		if json.Unmarshal(p.Value, &s) == nil && s != "" {
			value = s
		}
		if p.Origin != "default" {
			value += " (" + string(p.Origin) + ")"
		}
		line("param "+p.Name, value)
	}
	if m := r.Resolved.Machine; m.Platform != "" {
		line("machine", fmt.Sprintf("%s, %s, %s", m.Host, m.Platform, text.Plural(m.CPUs, "CPU")))
		line("program", fmt.Sprintf("distillflow %s, %s", m.Program, m.Go))
	}
	line("cost", costLine(r))
	line("error", r.Error)
	return tw.Flush()
}

func stageTable(w io.Writer, r *runrecord.Run) error {
	fmt.Fprint(w, "\nStages\n\n")
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "  stage\ttype\tstate\ttook\trows in\trows out\tkey\treason")
	for _, s := range r.Stages {
		took := "-"
		switch {
		case s.State == runrecord.Running:
			took = duration(time.Since(s.Started))
		case s.State == runrecord.Ran || s.Seconds > 0:
			took = duration(time.Duration(s.Seconds * float64(time.Second)))
		}
		in, out := "-", "-"
		if n := s.RowsIn(); n > 0 && s.State != runrecord.Skipped && s.State != runrecord.Waiting {
			in = strconv.FormatInt(n, 10)
		}
		if o, ok := s.Output(""); ok && o.Record != "" {
			out = strconv.FormatInt(o.Rows, 10)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%s\t%.12s\t%s\n", text.OneLine(s.Name), text.OneLine(s.Type), s.State, took, in, out, orDash(s.Key), text.OneLine(why(s)))
	}
	return tw.Flush()
}

// why is the reason for a stage's state: what it waits for, how far it is, what failed.
func why(s *runrecord.Stage) string {
	switch {
	case s.State == runrecord.Failed:
		return text.FirstLine(s.Error)
	case s.Progress != nil:
		return joinNonEmpty("; ", done(*s.Progress), Values(s.Progress.Values))
	case s.State == runrecord.Waiting && s.Reason == "":
		for _, in := range s.Inputs {
			if !in.Stage.State.Over() {
				return "for " + in.Stage.Name
			}
		}
	}
	return orDash(s.Reason)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func dropTable(w io.Writer, r *runrecord.Run) error {
	var errs []error
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	found := false
	for _, s := range r.Stages {
		drops, err := r.Drops(s)
		errs = append(errs, err)
		for _, d := range drops {
			if !found {
				fmt.Fprint(tw, "\nNot passed on\n\n  output\trows\tpaths\treason\n")
				found = true
			}
			fmt.Fprintf(tw, "  %s\t%d\t%d\t%s\n", text.OneLine(s.Name+"."+d.Port), d.Rows, d.Paths, text.OneLine(d.Reason))
		}
	}
	return errors.Join(append(errs, tw.Flush())...)
}

// Tables prints the figures of a run, for a terminal or as Markdown, each output by itself
// where there are several of a kind.
func Tables(w io.Writer, r *runrecord.Run, markdown bool) error {
	p := tablePrinter{w: w, markdown: markdown}
	accuracy, err := runrecord.Read[schema.Accuracy](r)
	p.note(err)
	each(&p, accuracy, func(rows []schema.Accuracy) analyze.Report { return analyze.Report{Accuracy: rows} })
	routers, err := runrecord.Read[schema.RouterScore](r)
	p.note(err)
	each(&p, routers, func(rows []schema.RouterScore) analyze.Report { return analyze.Report{Routers: rows} })
	arms, err := runrecord.Read[schema.ArmScore](r)
	p.note(err)
	each(&p, arms, func(rows []schema.ArmScore) analyze.Report { return analyze.Report{Arms: rows} })
	systems, err := runrecord.Read[schema.SystemScore](r)
	p.note(err)
	each(&p, systems, func(rows []schema.SystemScore) analyze.Report { return analyze.Report{Systems: rows} })
	differences, err := runrecord.Read[schema.SystemDifference](r)
	p.note(err)
	each(&p, differences, func(rows []schema.SystemDifference) analyze.Report { return analyze.Report{Differences: rows} })
	if len(arms)+len(systems) > 0 { // they sum up what the tables of many legs would say
		return errors.Join(p.errs...)
	}
	scores, err := runrecord.Read[schema.Score](r)
	p.note(err)
	each(&p, scores, func(rows []schema.Score) analyze.Report { return analyze.Report{Scores: rows} })
	comparisons, err := runrecord.Read[schema.Comparison](r)
	p.note(err)
	each(&p, comparisons, func(rows []schema.Comparison) analyze.Report { return analyze.Report{Comparisons: rows} })
	rates, err := runrecord.Read[schema.Rate](r)
	p.note(err)
	each(&p, rates, func(rows []schema.Rate) analyze.Report { return analyze.Report{Rates: rows} })
	return errors.Join(p.errs...)
}

type tablePrinter struct {
	w        io.Writer
	markdown bool
	errs     []error
}

func (p *tablePrinter) note(err error) { p.errs = append(p.errs, err) }

func each[T stage.Record](p *tablePrinter, list []runrecord.Table[T], report func([]T) analyze.Report) {
	for _, t := range list {
		rep := report(t.Rows)
		rep.Markdown = p.markdown
		if len(list) > 1 {
			rep.Of = text.OneLine(t.Output.Label())
		}
		var b strings.Builder
		p.note(analyze.Render(&b, rep))
		if b.Len() > 0 {
			_, err := io.WriteString(p.w, "\n"+b.String())
			p.note(err)
		}
	}
}

func warnings(w io.Writer, r *runrecord.Run) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	found := false
	tell := func(stage string, list []runrecord.Warning) {
		for _, m := range list {
			if !found {
				fmt.Fprint(tw, "\nWarnings\n\n")
				found = true
			}
			times := ""
			if m.Count > 1 {
				times = fmt.Sprintf(" (%d times)", m.Count)
			}
			fmt.Fprintf(tw, "  %s\t%s%s\n", orDash(text.OneLine(stage)), text.OneLine(m.Message), times)
		}
	}
	tell("", r.Warnings)
	for _, s := range r.Stages {
		tell(s.Name, s.Warnings)
	}
	return tw.Flush()
}
