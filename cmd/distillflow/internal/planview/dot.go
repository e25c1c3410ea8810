package planview

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
)

// look is how a status is drawn. The colours keep a contrast of 4.5:1 or more
// between text and fill; the status is written out besides.
type look struct{ fill, line, text string }

// What becomes of a stage in a run, besides a hit, as runrecord names it.
const (
	ran     plan.Status = "ran"
	failed  plan.Status = "failed"
	running plan.Status = "running"
	waiting plan.Status = "waiting"
	stopped plan.Status = "stopped"
	skipped plan.Status = "skipped"
)

var looks = map[plan.Status]look{
	plan.Hit:  {"#e6f4ea", "#2e7d32", "#1b5e20"},
	plan.Run:  {"#e3f0fd", "#1565c0", "#0d47a1"},
	plan.Wait: {"#fff4de", "#b26a00", "#7a4700"},
	plan.Skip: {"#f1f1f1", "#757575", "#4f4f4f"},
	ran:       {"#e3f0fd", "#1565c0", "#0d47a1"},
	failed:    {"#fdecea", "#b3261e", "#8c1d18"},
	running:   {"#e3f0fd", "#1565c0", "#0d47a1"},
	waiting:   {"#fff4de", "#b26a00", "#7a4700"},
	stopped:   {"#fff4de", "#b26a00", "#7a4700"},
}

func lookOf(s plan.Status) look {
	if l, ok := looks[s]; ok {
		return l
	}
	return looks[plan.Skip]
}

// DOT draws the graph in the language of Graphviz.
func DOT(w io.Writer, title string, stages []Stage) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph %s {\n", dotQuote(title))
	fmt.Fprintf(b, "  label=%s; labelloc=t; fontname=\"sans-serif\";\n", dotQuote(strings.TrimSpace(title+"\n"+summary(stages))))
	fmt.Fprintln(b, `  node [shape=box, style="rounded,filled", fontname="sans-serif"];`)
	fmt.Fprintln(b, `  edge [color="#616161", fontname="sans-serif", fontsize=10];`)
	for i, s := range stages {
		l := lookOf(s.Status)
		style := ""
		if s.Status == plan.Skip || s.Status == plan.Wait {
			style = `, style="rounded,filled,dashed"`
		}
		label := fmt.Sprintf("%s\n%s · %s", s.Name, s.Uses, s.Status)
		if s.Takes != "" {
			label += "\n" + s.Takes
		}
		fmt.Fprintf(b, "  s%d [label=%s, tooltip=%s, fillcolor=%q, color=%q, fontcolor=%q%s];\n",
			i, dotQuote(label), dotQuote(s.told()), l.fill, l.line, l.text, style)
	}
	for i, s := range stages {
		for _, p := range s.parents() {
			label := ""
			if ports := s.ports(p); ports != "" {
				label = " [label=" + dotQuote(ports) + "]"
			}
			fmt.Fprintf(b, "  s%d -> s%d%s;\n", p, i, label)
		}
	}
	fmt.Fprintln(b, "}")
	return b.Flush()
}

// dotQuote writes a quoted DOT string: a backslash is an escape in labels, and
// a newline is written as one.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", `\n`).Replace(s) + `"`
}
