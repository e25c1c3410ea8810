package planview

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/plandiff"
	"github.com/distillflow/distillflow/internal/base/text"
)

// DiffJSON writes `plan --diff --format json`. Fields are only ever added.
func DiffJSON(w io.Writer, old, cur *plandiff.Side, stages []plandiff.Stage) error {
	if stages == nil {
		stages = []plandiff.Stage{}
	}
	return view.Indented(w, struct {
		Old    string           `json:"old"` // the recipe or run that is compared with
		New    string           `json:"new"`
		Stages []plandiff.Stage `json:"stages"`
	}{old.Label, cur.Label, stages})
}

// DiffText writes the differences, and counts the rest.
func DiffText(w io.Writer, old, cur *plandiff.Side, stages []plandiff.Stage) error {
	counts := map[plandiff.Change]int{}
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	for _, s := range stages {
		counts[s.Change]++
		if s.Change == plandiff.Unchanged {
			continue
		}
		first := ""
		if len(s.Reasons) > 0 {
			first = diffReason(s.Reasons[0])
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Change, s.Name, s.Uses, first)
		for _, r := range s.Reasons[min(1, len(s.Reasons)):] {
			fmt.Fprintf(tw, "\t\t\t%s\n", diffReason(r))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s -> %s\n", old.Label, cur.Label); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	var parts []string
	for _, c := range plandiff.Changes {
		if counts[c] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[c], c))
		}
	}
	_, err := fmt.Fprintf(w, "\n%s: %s\n", text.Plural(len(stages), "stage"), strings.Join(parts, ", "))
	return err
}

func diffReason(r plan.Reason) string {
	none := func(s string) string {
		if s == "" {
			return "nothing"
		}
		return s
	}
	switch r.Code {
	case plandiff.SourceChanged:
		return fmt.Sprintf("input %s from %s -> %s", r.Field, none(r.Old), none(r.New))
	case plandiff.UpstreamChanged:
		return fmt.Sprintf("input %s: %s changed", r.Field, r.New)
	case plandiff.RecordGone:
		return "what its result was made of is gone from the store"
	case plandiff.Skipped:
		return "skipped: " + r.Old
	case plan.InputChanged, plan.FileChanged:
		if r.Old != "" && r.New != "" {
			return fmt.Sprintf("%s (%s -> %s)", r, shortDigest(r.Old), shortDigest(r.New))
		}
	}
	return r.String()
}

// shortDigest cuts a digest to what tells it apart at a glance.
func shortDigest(d string) string {
	first, more, list := strings.Cut(strings.TrimPrefix(d, "sha256:"), ",")
	first = first[:min(12, len(first))]
	if list && more != "" {
		first += ",..."
	}
	return first
}
