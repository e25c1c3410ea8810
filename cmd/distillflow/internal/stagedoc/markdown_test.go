package stagedoc

import "testing"

func TestProse(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"code", "Examples:\n  a_b: x*y\nThe end.", "Examples:\n```\n  a_b: x*y\n```\nThe end.\n"},
		{"code at the end", "So:\n\tx", "So:\n```\n\tx\n```\n"},
		{"marks", "*_proj, a_b, _x_, <think> & [1] cost $2", "\\*\\_proj, a_b, \\_x_, &lt;think> &amp; \\[1] cost \\$2\n"},
		{"backslash", "`\\boxed{}`", "\\`\\\\boxed{}\\`\n"},
	} {
		if got := prose(c.doc); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got, want := cell("a|b\n c"), `a\|b c`; got != want {
		t.Errorf("a cell: %q, want %q", got, want)
	}
}
