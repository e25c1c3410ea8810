package mathverify

import "fmt"

// Verdict is the outcome of a comparison.
type Verdict int

const (
	// Unknown: neither equality nor difference could be established.
	Unknown Verdict = iota
	// Equal: the two answers mean the same under the options.
	Equal
	// Different: the two answers do not mean the same.
	Different
)

// String returns "equal", "different" or "unknown".
func (v Verdict) String() string {
	switch v {
	case Equal:
		return "equal"
	case Different:
		return "different"
	}
	return "unknown"
}

// Result is a verdict with the rule or evidence that led to it.
type Result struct {
	Verdict Verdict
	// Reason is one line in plain English.
	Reason string
	// Gold and Pred are the two trees as the comparison read them, in a
	// bracketed prefix form for people.
	Gold, Pred string
}

func equal(format string, a ...any) Result {
	return Result{Verdict: Equal, Reason: sprintf(format, a)}
}
func different(format string, a ...any) Result {
	return Result{Verdict: Different, Reason: sprintf(format, a)}
}
func unknown(format string, a ...any) Result {
	return Result{Verdict: Unknown, Reason: sprintf(format, a)}
}

func sprintf(format string, a []any) string {
	if len(a) == 0 {
		return format
	}
	return fmt.Sprintf(format, a...)
}
