package planview

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
)

// Mermaid draws the graph as a Mermaid flowchart, which many sites show inside
// Markdown.
func Mermaid(w io.Writer, title string, stages []Stage) error {
	b := bufio.NewWriter(w)
	if title != "" {
		fmt.Fprintf(b, "---\ntitle: %s\n---\n", strconv.Quote(title))
	}
	fmt.Fprintf(b, "flowchart TD\n  %%%% %s\n", summary(stages))
	for i, s := range stages {
		takes := ""
		if s.Takes != "" {
			takes = "<br/>" + mermaidText(s.Takes)
		}
		fmt.Fprintf(b, "  s%d(\"%s<br/>%s · %s%s\"):::%s\n", i, mermaidText(s.Name), mermaidText(s.Uses), s.Status, takes, s.Status)
	}
	for i, s := range stages {
		for _, p := range s.parents() {
			label := ""
			if ports := s.ports(p); ports != "" {
				label = `|"` + mermaidText(ports) + `"|`
			}
			fmt.Fprintf(b, "  s%d -->%s s%d\n", p, label, i)
		}
	}
	for _, st := range statuses {
		l, dash := looks[st], ""
		if st == plan.Skip || st == plan.Wait {
			dash = ",stroke-dasharray:4 3"
		}
		fmt.Fprintf(b, "  classDef %s fill:%s,stroke:%s,color:%s%s\n", st, l.fill, l.line, l.text, dash)
	}
	return b.Flush()
}

// mermaidText writes what would end a label or be read as HTML as entities,
// which Mermaid writes #NUMBER;.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r':
			b.WriteByte(' ')
		case strings.ContainsRune("\"#;<>&`", r):
			fmt.Fprintf(&b, "#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
