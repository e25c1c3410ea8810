package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/planview"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
)

// planFormats are the values of plan --format.
var planFormats = append([]string{"text", "json"}, planview.Formats()...)

func (a app) planCmd() *cobra.Command {
	var f recipeFlags
	var format, diff string
	var estimate bool
	c := &cobra.Command{
		Use:   "plan RECIPE",
		Short: "Show what a run would do, and why",
		Long: `plan shows each stage of a recipe with what a run would do:

  hit   take the result from the store
  run   run the stage, for the reason given
  wait  the stage depends on stages that run first; whether it runs too is
        known once they have
  skip  the stage does not take part

Where a stage can tell, plan says what it will take, as a range. A stage whose
input is not there yet can often tell nothing: --estimate first runs the stages
before it that make no paid call (scan, wrap-cot, filter, ...), whose results the
next run takes from the store.

--diff compares with another recipe at its defaults (or with this one, to see what
--set changes), or with a run, given by its id or "last": which stages were added,
removed or changed, and how. Stages go by their names. Formats: text, json.

--format tree draws the graph for a terminal, svg as a picture; dot (Graphviz)
and mermaid are for other programs.

In --format json, rows (of the default output), memo_hits, requests, tokens, usd
and seconds are {"min", "max"}, or null where that is not known. Further fields
may be added; those that are there stay. docs/plan-json.md explains them.

Where a stage does not know its time, it is told by what it took the last time for
as many rows or requests: from half of that to twice as much.

plan reads inputs and changes no result.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if !slices.Contains(planFormats, format) {
				return usageError{fmt.Errorf("--format %q: want one of %s", format, strings.Join(planFormats, ", "))}
			}
			if diff != "" && format != "text" && format != "json" {
				return usageError{fmt.Errorf("--diff with --format %s: want text or json", format)}
			}
			e, g, o, err := a.load(c.Context(), &f, pos[0])
			if err != nil {
				return err
			}
			makePlan := e.Plan
			if estimate {
				makePlan = e.Estimate
			}
			p, err := makePlan(c.Context(), g, o)
			if err != nil {
				return err
			}
			if err := pastSeconds(p, e.StoreDir); err != nil {
				return err
			}
			if diff != "" {
				return a.planDiff(c.Context(), &f, p, seedOf(g, o), diff, format)
			}
			switch format {
			case "json":
				return planJSON(a.out, p)
			case "text":
				return planText(a.out, p)
			}
			return planview.Write(a.out, format, cmp.Or(g.Recipe.Name, filepath.Base(g.Recipe.File)), p)
		},
	}
	f.add(c)
	c.Flags().StringVar(&diff, "diff", "", "compare with another `recipe or run`")
	c.Flags().BoolVar(&estimate, "estimate", false, "run what costs nothing first, for better estimates")
	c.Flags().StringVar(&format, "format", "text", "one `of` "+strings.Join(planFormats, ", "))
	return c
}

// planStage is a stage in `plan --format json`. Fields are only ever added.
type planStage struct {
	Name   string        `json:"name"`
	Uses   string        `json:"uses"`
	Status plan.Status   `json:"status"`
	Key    string        `json:"key"` // "" while it is not known
	From   []string      `json:"from"`
	Reason plan.Reason   `json:"reason"`
	More   []plan.Reason `json:"more,omitempty"` // further reasons

	Rows     *stage.Range `json:"rows"` // of the default output
	MemoHits *stage.Range `json:"memo_hits"`
	Requests *stage.Range `json:"requests"`
	Tokens   *stage.Range `json:"tokens"`
	USD      *stage.Range `json:"usd"`
	Seconds  *stage.Range `json:"seconds"`
}

func planJSON(w io.Writer, p *plan.Plan) error {
	out := struct {
		Stages []planStage `json:"stages"`
	}{Stages: []planStage{}}
	for _, s := range p.Steps {
		out.Stages = append(out.Stages, planStage{
			Name: s.Node.Name, Uses: s.Node.Type.Type, Status: s.Status, Key: s.Key,
			From: sources(s), Reason: s.Reason, More: s.More,
			Rows: s.Rows(), MemoHits: s.Estimate.MemoHits, Requests: s.Estimate.Requests,
			Tokens: s.Estimate.Tokens, USD: s.Estimate.USD, Seconds: s.Estimate.Seconds,
		})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

func sources(s plan.Step) []string {
	from := []string{}
	for _, in := range s.Node.Inputs {
		for _, src := range in.Sources {
			from = append(from, src.Label())
		}
	}
	return from
}

func planText(w io.Writer, p *plan.Plan) error {
	counts := map[plan.Status]int{}
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	for _, s := range p.Steps {
		counts[s.Status]++
		from := ""
		if l := sources(s); len(l) > 0 {
			from = "<- " + strings.Join(l, ", ")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.Status, s.Node.Name, s.Node.Type.Type, s.Reason, from)
		for _, r := range s.More {
			fmt.Fprintf(tw, "\t\t\t%s\t\n", r)
		}
		if e := planview.EstimateText(s); e != "" {
			fmt.Fprintf(tw, "\t\t\t%s\t\n", e)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	var parts []string
	for _, st := range []plan.Status{plan.Hit, plan.Run, plan.Wait, plan.Skip} {
		if counts[st] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[st], st))
		}
	}
	if _, err := fmt.Fprintf(w, "\n%d stages: %s\n", len(p.Steps), strings.Join(parts, ", ")); err != nil {
		return err
	}
	if total := planview.Total(p); total != "" {
		if _, err := fmt.Fprintln(w, total); err != nil {
			return err
		}
	}
	return planHint(w, p)
}

func planHint(w io.Writer, p *plan.Plan) error {
	hint := planview.Hint(p)
	if hint == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, hint)
	return err
}
