package simulated

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

func TestMisconceptions(t *testing.T) {
	c, err := New(Options{Accuracy: map[string]float64{"cot": 1, "code": 1, "tree": 1}, Misconceived: 1, JudgeValid: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ style, gold, solution, want, verdict string }{
		{"cot", "7", "8 + 3 = 11. 11 - 4 = 7. #### 7", "8 + 3 = 11. 11 + 4 = 15. The answer is 15.", "valid"},
		{"cot", "3", "8 + 4 = 12. 12 / 4 = 3. #### 3", "8 + 4 = 12. 12 * 4 = 48. The answer is 48.", "valid"},
		{"cot", "3", "8 - 7 = 1. 1 + 2 = 3. #### 3", "8 - 7 = 2. 2 + 2 = 3. The answer is 3.", "invalid"},
		{"tree", "14", "4 + 3 = 7. 7 * 2 = 14. #### 14", "Path 1: 4 - 3, no. Path 2: 4 + 3 = 8, 8 * 2 = 14, yes. The answer is 14.", "invalid"},
		// The judge reads no comments of programs.
		{"code", "5", "8 - 5 = 3. 3 + 2 = 5. #### 5", "a = 8 - 5 # 4\nb = a + 2 # 5\nprint(b)\nThe answer is 5.", "valid"},
		// No misconception fits these.
		{"cot", "3", "8 - 5 = 3. #### 3", "8 - 5 = 3. The answer is 3.", "valid"},
		{"cot", "3", "8 - 5 = 3. 4 - 3 = 1. #### 3", "8 - 5 = 3. 4 - 3 = 1. The answer is 3.", "valid"},
		{"cot", "6", "8 - 5 = 3. 4 + 2 = 6. #### 6", "8 - 5 = 3. 4 + 2 = 6. The answer is 6.", "valid"},
		{"cot", "yes", "The sea is wet. #### yes", "The sea is wet. The answer is yes.", "valid"},
	} {
		h := llm.Hint{Task: "gsm8k", Style: tc.style, Gold: tc.gold, Solution: tc.solution}
		got := ask(t, c, h, "p", 0).Text
		if got != tc.want {
			t.Errorf("%s of %q:\n got %q\nwant %q", tc.style, tc.solution, got, tc.want)
		}
		if v := ask(t, c, llm.Hint{Kind: llm.HintJudge, Response: got}, "p", 0).Text; !strings.Contains(v, `"`+tc.verdict+`"`) {
			t.Errorf("the judge of %q says %s", got, v)
		}
	}
}

// The share is that of all answers; without it the answers are what they were.
func TestShareOfMisconceptions(t *testing.T) {
	o := DefaultOptions()
	plain, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Misconceived = 0.4
	some, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	wrong, same := 0, 0
	for rep := range 2000 {
		h := words
		h.Style = "cot"
		text := ask(t, some, h, "p", rep).Text
		if strings.HasPrefix(text, "4 + 3 = 8. 8 * 2 = 14.") {
			wrong++
		} else if text == ask(t, plain, h, "p", rep).Text {
			same++
		}
	}
	if share := float64(wrong) / 2000; share < 0.36 || share > 0.44 {
		t.Errorf("%.3f of the answers follow the misconception, want 0.4", share)
	}
	if wrong+same < 1500 {
		t.Errorf("of 2,000 answers %d follow the misconception and only %d are as without", wrong, same)
	}
	if _, err := New(Options{Misconceived: 1.2}); err == nil {
		t.Error("a share above 1 is taken")
	}
}
