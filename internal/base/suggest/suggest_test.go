package suggest

import (
	"strings"
	"testing"
)

func TestNear(t *testing.T) {
	types := []string{"scan", "wrap-cot", "batch-llm", "extract", "verify-math", "verify-choice", "judge", "train-moe", "posrate"}
	for _, c := range []struct{ name, want string }{
		{"verify-mth", "verify-math"},
		{"verfiy_math", "verify-math"},
		{"Scan", "scan"},
		{"sacn", "scan"},
		{"jugde", "judge"},
		{"math", "verify-math"},
		{"train", "train-moe"},
		{"xyzzy", ""},
		{"", ""},
		{"n", ""},
		{strings.Repeat("scan", 100), ""},
	} {
		if got := Near(c.name, types); got != c.want {
			t.Errorf("Near(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	if got := Near("x", []string{"y"}); got != "" {
		t.Errorf("one letter suggests %q", got)
	}
}

func TestSlip(t *testing.T) {
	fields := []string{"question", "gold_answer", "id", "task"}
	for name, want := range map[string]string{
		"qestion": "question", "Question": "question", "quesiton": "question", "goldanswer": "gold_answer", "tasks": "task",
		"qestin": "", "gold": "", "answer": "", "ids": "", "it": "", "label": "",
	} {
		if got := Slip(name, fields); got != want {
			t.Errorf("Slip(%q) = %q, want %q", name, got, want)
		}
	}
}
