// Package planview shows a plan: as a table or a tree for the terminal, as JSON, DOT
// and Mermaid text for other programs, and as an SVG picture that needs none. It shows
// what differs between two plans, too.
package planview

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Stage is one stage of the graph to draw.
type Stage struct {
	Name   string
	Uses   string      // stage type
	Status plan.Status // or what became of it in a run; also written out, so that colour alone says nothing
	Reason string
	Takes  string // what it is expected to take; "" where that is not known
	From   []Edge // what it reads, in the order of its inputs
	Link   string // address of more about it, in an SVG; "" for none
}

// Edge is one input of a stage.
type Edge struct {
	Stage int    // index of the source; it stands before the reader
	Port  string // the source's output port; "" for its default one
}

// Formats lists the formats of [Write].
func Formats() []string { return []string{"text", "json", "tree", "dot", "mermaid", "svg"} }

// Write shows a plan in one of [Formats]. title names the picture; it may be
// empty.
func Write(w io.Writer, format, title string, p *plan.Plan) error {
	stages := fromPlan(p)
	switch format {
	case "text":
		return writeText(w, p)
	case "json":
		return writeJSON(w, p)
	case "tree":
		return errors.Join(Tree(w, stages), writeHint(w, p))
	case "dot":
		return DOT(w, title, stages)
	case "mermaid":
		return Mermaid(w, title, stages)
	case "svg":
		return SVG(w, title, stages)
	}
	return fmt.Errorf("format %q: want one of %s", format, strings.Join(Formats(), ", "))
}

func fromPlan(p *plan.Plan) []Stage {
	stages := make([]Stage, len(p.Steps))
	for i, s := range p.Steps {
		reasons := []string{s.Reason.String()}
		for _, r := range s.More {
			reasons = append(reasons, r.String())
		}
		stages[i] = Stage{Name: s.Node.Name, Uses: s.Node.Type.Type, Status: s.Status, Reason: strings.Join(reasons, "; "), Takes: EstimateText(s)}
		for _, in := range s.Node.Inputs {
			for _, src := range in.Sources {
				e := Edge{Stage: src.Node.Index(), Port: src.Port.Name}
				if e.Port == src.Node.Type.Outputs[0].Name {
					e.Port = ""
				}
				stages[i].From = append(stages[i].From, e)
			}
		}
	}
	return stages
}

// told is the reason of a stage, and its estimate.
func (s Stage) told() string {
	if s.Takes == "" {
		return s.Reason
	}
	return s.Reason + "; " + s.Takes
}

// parents lists the stages that one reads from, each once.
func (s Stage) parents() []int {
	var out []int
	for _, e := range s.From {
		if !slices.Contains(out, e.Stage) {
			out = append(out, e.Stage)
		}
	}
	return out
}

// ports names what one stage reads from another, but for the default output:
// "correct, quarantine".
func (s Stage) ports(from int) string {
	var out []string
	for _, e := range s.From {
		if e.Stage == from && e.Port != "" && !slices.Contains(out, e.Port) {
			out = append(out, e.Port)
		}
	}
	return strings.Join(out, ", ")
}

// statuses are those of plans and then of runs, in the order in which they are counted.
var (
	statuses    = []plan.Status{plan.Hit, plan.Run, plan.Wait, plan.Skip}
	runStatuses = []plan.Status{ran, failed, running, waiting, stopped, skipped}
)

// summary counts the stages by status: "4 stages: 3 hit, 1 run".
func summary(stages []Stage) string {
	counts := map[plan.Status]int{}
	for _, s := range stages {
		counts[s.Status]++
	}
	var parts []string
	for _, st := range slices.Concat(statuses, runStatuses) {
		if counts[st] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[st], st))
		}
	}
	return text.Plural(len(stages), "stage") + ": " + strings.Join(parts, ", ")
}
