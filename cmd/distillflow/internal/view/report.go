package view

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/stages/analyze"
)

// Report prints what a person wants to see at the end of a run: the figures that
// its stages made and where everything is. It finds them by record type, so any
// recipe gets the report that its stages allow.
func Report(w io.Writer, g *graph.Graph, res *flow.Result, saved *Places) error {
	var r analyze.Report
	var errs []error
	counts := map[exec.State]int{}
	read := map[*graph.Node]bool{} // nodes that some stage reads from
	for _, n := range g.Nodes {
		for _, d := range n.Deps() {
			read[d] = true
		}
	}
	for _, n := range g.Nodes {
		counts[res.Outcome.States[n.Name]]++
		for _, p := range n.Type.Outputs {
			path := res.Output(n.Name, p.Name)
			if path == "" {
				continue
			}
			label := n.Name + "." + p.Name
			errs = append(errs, collect(&r.Arms, p, path, label), collect(&r.Scores, p, path, label), collect(&r.Comparisons, p, path, label), collect(&r.Rates, p, path, label),
				collect(&r.Accuracy, p, path, label))
			if place := saved.place(n, p.Name, path, read); place != "" {
				r.Places = append(r.Places, analyze.Place{
					Name: label, Path: place, Rows: res.Outcome.Outputs[n.Name][p.Name].Rows,
				})
			}
		}
	}
	errs = append(errs, analyze.Render(w, r))
	var parts []string
	for _, s := range []exec.State{exec.Done, exec.Cached, exec.Skipped, exec.Failed, exec.Blocked, exec.Stopped} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	_, err := fmt.Fprintf(w, "\n%s: %s, in %.1f s (run %s)\n", text.Plural(len(g.Nodes), "stage"), strings.Join(parts, ", "), res.Seconds, res.ID)
	return errors.Join(append(errs, err)...)
}

// Places remembers from events where save: put things.
type Places struct {
	mu    sync.Mutex
	saved map[string]string // stage.port -> file or folder
}

// Event takes one event.
func (p *Places) Event(e event.Event) {
	if e.Kind != event.StageSaved {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.saved == nil {
		p.saved = map[string]string{}
	}
	for port, o := range e.Outputs {
		p.saved[e.Stage+"."+port] = o.Path
	}
}

// place says where an output can be found: at its save: target, or in the store
// if no stage reads it. Intermediate results are left out.
func (p *Places) place(n *graph.Node, port, stored string, read map[*graph.Node]bool) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if path := p.saved[n.Name+"."+port]; path != "" {
		return paths.Relative(path)
	}
	if n.Stage.Save != "" || read[n] {
		return ""
	}
	return paths.Relative(stored)
}

// collect adds the rows of an output to a list if they are of its type.
func collect[T stage.Record](list *[]T, p stage.Port, path, label string) error {
	var t T
	if p.Kind != stage.RowsPort || p.Record != t.RecordType() {
		return nil
	}
	rows, err := analyze.ReadRows[T](path, label)
	*list = append(*list, rows...)
	return err
}
