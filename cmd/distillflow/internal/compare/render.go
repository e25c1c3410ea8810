package compare

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/grid"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Text prints the comparison for a terminal.
func (c *Comparison) Text(w io.Writer) error { return c.render(w, false) }

// Markdown prints the comparison as Markdown.
func (c *Comparison) Markdown(w io.Writer) error { return c.render(w, true) }

// section is one table: left leading columns and the notes last ones hold words, the others
// figures.
type section struct {
	title       string
	head        []string
	left, notes int
	rows        [][]string
}

func (c *Comparison) render(w io.Writer, markdown bool) error {
	var b strings.Builder
	if markdown {
		b.WriteString("# Comparison\n\n")
	}
	for i, s := range c.sections() {
		if len(s.rows) == 0 {
			continue
		}
		if i > 0 {
			b.WriteString("\n")
		}
		if s.title != "" {
			if markdown {
				b.WriteString("## ")
			}
			b.WriteString(s.title + "\n\n")
		}
		b.WriteString(s.text(markdown) + "\n")
	}
	if len(c.Tests)+len(c.Same) == 0 {
		b.WriteString("\nNo verifier, judge or evaluation of one name has verdicts in both runs.\n")
	}
	if len(c.Same) > 0 {
		var labels []string
		for _, s := range c.Same {
			labels = append(labels, s.Stage+" in "+s.Run)
		}
		fmt.Fprintf(&b, "\nThe same verdicts as in %s: %s.\n", c.Runs[0].Name, cell(strings.Join(labels, ", "), markdown))
	}
	if len(c.Gone) > 0 {
		fmt.Fprintf(&b, "\nNo longer in the store: %s. Run the recipe again to have them made.\n", cell(strings.Join(c.Gone, ", "), markdown))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s section) text(markdown bool) string {
	w := grid.Writer(s.head, s.rows, s.left, s.notes, func(c string) string { return cmp.Or(cell(c, markdown), "-") })
	if markdown {
		return w.RenderMarkdown()
	}
	return grid.Terminal(w)
}

// cell makes text of data and models safe to show.
func cell(s string, markdown bool) string {
	s = text.OneLine(s)
	if markdown {
		s = inert.Replace(s)
	}
	return s
}

// inert keeps Markdown from taking text for more than text.
var inert = strings.NewReplacer("&", "&amp;", "<", "&lt;", "`", "&#96;", "[", "&#91;", "*", "&#42;", "_", "&#95;", "$", "&#36;")

func (c *Comparison) sections() []section {
	names := func(head ...string) []string {
		for _, r := range c.Runs {
			head = append(head, r.Name)
		}
		return head
	}
	runs := section{head: []string{"name", "run", "recipe", "status", "took", "calls", "from memo", "tokens", "cost", "tokens of its results", "their cost"}, left: 4}
	for _, r := range c.Runs {
		runs.rows = append(runs.rows, []string{r.Name, r.ID, r.Recipe, r.Status, fmt.Sprintf("%.1f s", r.Seconds), fmt.Sprintf("%.0f", r.Cost.Calls),
			fmt.Sprintf("%.0f", r.Cost.MemoHits), fmt.Sprintf("%.0f", r.Cost.PromptTokens+r.Cost.CompletionTokens), dollars(r.Cost),
			fmt.Sprintf("%.0f", r.Worth.PromptTokens+r.Worth.CompletionTokens), dollars(r.Worth)})
	}
	params := section{title: "Params that differ", head: names("param"), left: 1 + len(c.Runs)}
	for _, p := range c.Params {
		row := []string{strings.TrimPrefix(p.Name, "params.")}
		for _, v := range p.Values {
			row = append(row, strings.Trim(string(v), `"`))
		}
		params.rows = append(params.rows, row)
	}
	stages := section{title: "Stages that differ from " + c.Runs[0].Name, head: []string{"run", "stage", "change", "why"}, left: 4}
	for _, s := range c.Stages {
		stages.rows = append(stages.rows, []string{s.Run, s.Stage, s.Change, strings.Join(s.Why, "; ")})
	}
	metrics := section{title: "Accuracy in percent (95 % interval)", head: names("output", "task", "system", "group"), left: 4}
	for _, m := range c.Metrics {
		row := []string{m.Output, m.Task, m.System, m.Group}
		for _, v := range m.Values {
			cell := ""
			if v != nil {
				cell = fmt.Sprintf("%.1f (%.1f to %.1f)", 100*v.Accuracy, 100*v.Low, 100*v.High)
			}
			row = append(row, cell)
		}
		metrics.rows = append(metrics.rows, row)
	}
	routing := section{title: "Routing: share of a style's paths that went to a student", head: names("output", "style", "student"), left: 3}
	for _, r := range c.Routing {
		row := []string{r.Output, r.Style, r.Student}
		for _, v := range r.Values {
			cell := ""
			if v != nil {
				cell = fmt.Sprintf("%.1f %%", 100**v)
			}
			row = append(row, cell)
		}
		routing.rows = append(routing.rows, row)
	}
	return []section{runs, params, stages, metrics, c.testSection(), routing, c.flipSection()}
}

func (c *Comparison) testSection() section {
	s := section{
		title: fmt.Sprintf("Paired with %s: records that both have; difference in points (95 %% interval)", c.Runs[0].Name),
		head:  []string{"run", "stage", "of", "problems", "records", "right in " + c.Runs[0].Name, "in the run", "lost", "gained", "difference", "95 % interval", "p", "unpaired"}, left: 3,
	}
	for _, t := range c.Tests {
		group := t.Group
		if group == "" {
			group = "all"
		}
		row := []string{t.Run, t.Stage, group, fmt.Sprint(t.Problems), fmt.Sprint(t.Records)}
		if t.Problems > 0 {
			percent := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(t.Records)) }
			row = append(row, percent(t.RightA), percent(t.RightB), fmt.Sprint(t.Lost), fmt.Sprint(t.Gained),
				fmt.Sprintf("%+.1f", 100*t.Difference), fmt.Sprintf("%+.1f to %+.1f", 100*t.Low, 100*t.High), fmt.Sprintf("%.2g", t.P))
		} else {
			row = append(row, "", "", "", "", "", "", "")
		}
		s.rows = append(s.rows, append(row, fmt.Sprintf("%d + %d", t.OnlyA, t.OnlyB)))
	}
	return s
}

func (c *Comparison) flipSection() section {
	s := section{title: "Verdicts that flipped", head: []string{"run", "stage", "of", "id", "verdict", "gold", "in " + c.Runs[0].Name, "in the run"}, left: 8}
	for _, f := range c.Flips {
		id := f.ID
		if f.Replicate > 0 {
			id += fmt.Sprintf(" #%d", f.Replicate)
		}
		way := "lost"
		if f.Gained {
			way = "gained"
		}
		s.rows = append(s.rows, []string{f.Run, f.Stage, f.Group, id, way, short(f.Gold, maxCell), f.A.text(), f.B.text()})
	}
	return s
}

// maxCell bounds, in characters, what a cell shows of an answer or a reason; JSON has more.
const maxCell = 40

func (v Verdict) text() string {
	pred := short(v.Pred, maxCell)
	if pred == "" {
		pred = "no answer"
	}
	if v.Reason == "" {
		return pred
	}
	return pred + " (" + short(v.Reason, maxCell) + ")"
}

func dollars(c runrecord.Cost) string {
	if c.USD == 0 {
		return ""
	}
	return fmt.Sprintf("$%.4g", c.USD)
}
