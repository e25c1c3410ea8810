package diag

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/suggest"
)

// Severity says how grave a diagnostic is.
type Severity int

// The severities. The zero value is Error, so that a forgotten field does not
// turn a problem into a remark.
const (
	Error Severity = iota
	Warning
)

// String gives "error" or "warning".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return fmt.Sprintf("severity(%d)", int(s))
}

// Related is a second place that a diagnostic speaks about, such as the first
// of two duplicate keys.
type Related struct {
	Span    Span
	Message string
}

// Diagnostic is one problem (or remark) about a source text.
type Diagnostic struct {
	Severity Severity
	// Code names the class of the problem in kebab-case ("unknown-key"). It is
	// stable, so that editors and tests may rely on it.
	Code string
	Span Span
	// Summary says what is wrong, in one line without a final full stop.
	Summary string
	// Suggestion is a name that was probably meant; it is shown as
	// `help: did you mean "NAME"?`.
	Suggestion string
	// Help says what to do.
	Help string
	// Related lists further places.
	Related []Related
	// Leg is the leg of a matrix that this is about; the zero value for what is not of one.
	Leg Leg
	// MoreLegs counts further legs in which the same place is wrong; see [List.Sort].
	MoreLegs int
}

// Leg is one of the stages that a matrix makes of one.
type Leg struct {
	Stage  string // the stage in the text
	Name   string // of the leg
	Number int    // its place among all stages
}

// Errorf makes an error diagnostic for the single rune at pos.
func Errorf(pos Pos, code, format string, args ...any) Diagnostic {
	return Diagnostic{Code: code, Span: At(pos), Summary: fmt.Sprintf(format, args...)}
}

// Pos is the place the diagnostic points at.
func (d Diagnostic) Pos() Pos { return d.Span.Start }

// Over returns d with n runes underlined from its position on.
func (d Diagnostic) Over(n int) Diagnostic { d.Span = d.Span.Start.Span(n); return d }

// WithSuggestion returns d with a "did you mean", chosen from candidates for
// the misspelt name; without a near candidate d is returned unchanged.
func (d Diagnostic) WithSuggestion(name string, candidates []string) Diagnostic {
	if s := suggest.Near(name, candidates); s != "" {
		d.Suggestion = s
	}
	return d
}

// WithHelp returns d with a line that says what to do.
func (d Diagnostic) WithHelp(format string, args ...any) Diagnostic {
	d.Help = fmt.Sprintf(format, args...)
	return d
}

// WithRelated returns d with one more place.
func (d Diagnostic) WithRelated(span Span, format string, args ...any) Diagnostic {
	d.Related = append(slices.Clip(d.Related), Related{Span: span, Message: fmt.Sprintf(format, args...)})
	return d
}

// Error gives the first line of the rendering: file:line:col: error: summary [code].
func (d Diagnostic) Error() string {
	var b strings.Builder
	if p := d.Span.Start.String(); p != "" {
		b.WriteString(p)
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s: %s", d.Severity, d.Summary)
	if d.Code != "" {
		fmt.Fprintf(&b, " [%s]", d.Code)
	}
	return b.String()
}
