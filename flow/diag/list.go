package diag

import (
	"cmp"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/text"
)

// List collects diagnostics. As an error it shows their first lines; use
// [List.Render] for snippets. Return it as an error only through [List.Err],
// since an empty List in an error interface is not nil.
type List []Diagnostic

// Add appends diagnostics.
func (l *List) Add(ds ...Diagnostic) { *l = append(*l, ds...) }

// Errorf appends an error for the single rune at pos.
func (l *List) Errorf(pos Pos, code, format string, args ...any) {
	l.Add(Errorf(pos, code, format, args...))
}

// HasErrors reports whether a diagnostic of severity Error is among l.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err is l as an error, or nil when l holds no error.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return l
}

// Of says of all diagnostics from index n on which leg they are about.
func (l List) Of(n int, leg Leg) {
	for i := n; i < len(l); i++ {
		l[i].Leg = leg
	}
}

// Sort orders by file, line, column, severity and summary, and drops exact
// repetitions (one mistake can be met on several ways through a recipe). What is wrong at
// one place in several legs of a matrix stays for the first of them. Equal
// places keep a fixed order, so output is the same on every run.
func (l *List) Sort() {
	slices.SortStableFunc(*l, func(a, b Diagnostic) int { return cmp.Or(comparePlace(a, b), cmp.Compare(a.Summary, b.Summary)) })
	*l = slices.CompactFunc(*l, func(a, b Diagnostic) bool { return comparePlace(a, b) == 0 && a.Summary == b.Summary })
	slices.SortStableFunc(*l, func(a, b Diagnostic) int {
		return cmp.Or(comparePlace(a, b), cmp.Compare(a.Leg.Stage, b.Leg.Stage), cmp.Compare(a.Summary, b.Summary))
	})
	out := (*l)[:0]
	for rest := *l; len(rest) > 0; {
		n := 1
		for n < len(rest) && comparePlace(rest[0], rest[n]) == 0 && rest[0].Leg.Stage == rest[n].Leg.Stage {
			n++
		}
		out = append(out, firstLeg(rest[:n])...)
		rest = rest[n:]
	}
	clear((*l)[len(out):])
	*l = out
}

// comparePlace orders by all but what is said.
func comparePlace(a, b Diagnostic) int {
	return cmp.Or(a.Span.Start.Compare(b.Span.Start), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code))
}

// firstLeg leaves of what is said about the legs of a stage at one place that of the first
// leg, and counts the other legs.
func firstLeg(l List) List {
	if l[0].Leg.Stage == "" {
		return l
	}
	first := slices.MinFunc(l, func(a, b Diagnostic) int { return cmp.Compare(a.Leg.Number, b.Leg.Number) }).Leg
	more, others := 0, map[int]bool{}
	kept := l[:0]
	for _, d := range l {
		more += d.MoreLegs
		if d.Leg == first {
			d.MoreLegs = 0
			kept = append(kept, d)
		} else {
			others[d.Leg.Number] = true
		}
	}
	kept[0].MoreLegs = more + len(others)
	return kept
}

// Error joins the first lines of all diagnostics, sorted by position.
func (l List) Error() string {
	if len(l) == 0 {
		return "no diagnostics"
	}
	sorted := slices.Clone(l)
	sorted.Sort()
	lines := make([]string, len(sorted))
	for i, d := range sorted {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// Counts gives the number of errors and warnings.
func (l List) Counts() (errors, warnings int) {
	for _, d := range l {
		switch d.Severity {
		case Error:
			errors++
		case Warning:
			warnings++
		}
	}
	return errors, warnings
}

// Summary gives a line such as "2 errors, 1 warning", or "" for none.
func (l List) Summary() string {
	e, w := l.Counts()
	var parts []string
	if e > 0 {
		parts = append(parts, text.Plural(e, "error"))
	}
	if w > 0 {
		parts = append(parts, text.Plural(w, "warning"))
	}
	return strings.Join(parts, ", ")
}
