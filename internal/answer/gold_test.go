package answer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	preset "github.com/distillflow/distillflow/internal/task"

	"github.com/distillflow/distillflow/internal/mathverify"
)

func TestNormalizeGold(t *testing.T) {
	for _, c := range []struct {
		name, task, row string
		choices         []Option
		want            string
		repaired        bool
	}{
		{"solution", "gsm8k", `{"answer":"She has 9.\n#### 1,080"}`, nil, "1,080", false},
		{"number", "gsm8k", `{"answer":18}`, nil, "18", false},
		{"gold wins", "gsm8k", `{"answer":"1","gold_answer":"2"}`, nil, "2", false},
		{"null gold", "gsm8k", `{"answer":"1","gold_answer":null}`, nil, "1", false},
		{"boxed", "math", `{"answer":"\\boxed{\\frac{1}{2}}"}`, nil, `\frac{1}{2}`, false},
		{"broken escape", "math", `{"answer":"\boxed{\frac{1}{2}}"}`, nil, `\frac{1}{2}`, true},
		{"solution field", "math", `{"solution":"So it is \\boxed{7}."}`, nil, "7", false},
		{"solution without a box", "math", `{"solution":"We add. Thus the answer is $7$."}`, nil, "7", false},
		{"solution in two lines", "math", "{\"solution\":\"We have $x = 3$.\\nThe value of $x^2$ is 9.\"}", nil, "9", false},
		{"prose", "gsm8k", `{"answer":"She has 5 and 4 more. The answer is 9."}`, nil, "9", false},
		{"doubled backslash", "math", `{"answer":"\\\\boxed{\\\\frac{1}{2}}"}`, nil, `\frac{1}{2}`, true},
		{"rows of a matrix", "math", `{"answer":"\\begin{pmatrix}1\\\\2\\end{pmatrix}"}`, nil, `\begin{pmatrix}1\\2\end{pmatrix}`, false},
		{"words", "math", `{"answer":"Tuesday"}`, nil, "Tuesday", false},
		{"number words", "math", `{"answer":"three and a half"}`, nil, "3.5", false},
		{"pair", "math", `{"answer":"(1,2)"}`, nil, "(1,2)", false},
		{"Bengali digits", "gsm8k", `{"answer":"১৮"}`, nil, "18", false},
		{"solution of a choice", "arc_challenge", `{"answer":"It is hot. So the answer is (2)."}`, digits, "2", false},
		{"solution of a question", "strategy_qa", `{"answer":"Whales breathe. So the answer is no."}`, nil, "no", false},
		{"solution of a label", "anli", `{"label":"The premise is silent. The answer is neutral."}`, nil, "neither", false},
		{"hash of a choice", "arc_challenge", `{"answer":"It is hot.\n#### 2"}`, digits, "2", false},
		{"answerKey", "arc_challenge", `{"answerKey":"2"}`, digits, "2", false},
		{"option text", "arc_challenge", `{"answer":"Steam"}`, digits, "2", false},
		{"table option", "table_mwp", `{"answer":"nonlinear"}`, linear, "nonlinear", false},
		{"table number", "table_mwp", `{"answer":"1,200"}`, nil, "1,200", false},
		{"label word", "anli", `{"label":"contradiction"}`, nil, "false", false},
		{"label 0", "anli", `{"label":0}`, nil, "true", false},
		{"label 1", "anli", `{"label":1}`, nil, "neither", false},
		{"label 2", "anli", `{"label":2}`, nil, "false", false},
		{"true", "strategy_qa", `{"answer":true}`, nil, "yes", false},
		{"false", "strategy_qa", `{"answer":false}`, nil, "no", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := NormalizeGold(c.task, rawRow(t, c.row), c.choices)
			if err != nil || g.Answer != c.want || g.Repaired != c.repaired {
				t.Fatalf("%+v, %v; want %q", g, err, c.want)
			}
		})
	}
	for _, c := range []struct {
		task, row string
		choices   []Option
	}{
		{"arc_challenge", `{"answerKey":"Z"}`, digits}, {"anli", `{"label":7}`, nil}, {"strategy_qa", `{"answer":"maybe"}`, nil},
		{"gsm8k", `{"answer":["1"]}`, nil}, {"gsm8k", `{"question":"1"}`, nil}, {"gsm8k", `{"answer":"  "}`, nil},
	} {
		if g, err := NormalizeGold(c.task, rawRow(t, c.row), c.choices); err == nil {
			t.Errorf("%s %s gives %+v, want an error", c.task, c.row, g)
		}
	}
	if _, err := NormalizeGold("gsm8k", Raw{}, nil); !errors.Is(err, ErrNoGold) {
		t.Errorf("no fields: %v", err)
	}
}

func rawRow(t *testing.T, s string) Raw {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err)
	}
	return Raw(m)
}

// feed grades the gold given back as the response, in three forms.
func feed(q Question, report func(text string, p Prediction, r mathverify.Result)) {
	for _, form := range []string{"%s", "The answer is %s.", `\boxed{%s}`} {
		text := fmt.Sprintf(form, q.Gold)
		p := Extract(q, text, Options{})
		if r := Grade(q, p.Answer, mathverify.Options{}); r.Verdict != mathverify.Equal {
			report(text, p, r)
		}
	}
}

// TestGoldFeedback: generated golds of every form, given back as the response,
// are graded as correct.
func TestGoldFeedback(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	fail := func(text string, p Prediction, res mathverify.Result) {
		t.Errorf("%q -> %q (%s%s): %v %s", text, p.Answer, p.Rule, p.Reason, res.Verdict, res.Reason)
	}
	names := []string{"red kite", "B flat", "Mr. Stone", "10:35 A.M.", "1 hour and 15 minutes", "no", "yes", "3", "a dog", "C", "dog"}
	for i := 0; i < 400; i++ {
		n := r.Intn(20000) - 4000
		math := []string{
			fmt.Sprint(n), fmt.Sprintf(`\frac{%d}{%d}`, n, 1+r.Intn(99)), fmt.Sprintf(`(%d, %d)`, n, r.Intn(9)),
			fmt.Sprintf(`[%d, \infty)`, n), fmt.Sprintf(`%d\sqrt{%d}`, 1+r.Intn(9), 2+r.Intn(50)), fmt.Sprintf(`x^%d + %d`, 2+r.Intn(4), 1+r.Intn(9)),
			fmt.Sprintf(`%d\%%`, r.Intn(100)), fmt.Sprintf(`\$%d.%02d`, r.Intn(50), r.Intn(100)), fmt.Sprintf(`%d \text{ cm}`, 1+r.Intn(90)),
			fmt.Sprintf(`\begin{pmatrix} %d \\ %d \end{pmatrix}`, n, r.Intn(9)), fmt.Sprintf(`%d^\circ`, r.Intn(360)), fmt.Sprintf(`%d, %d`, n, n+1),
			fmt.Sprintf(`%d,\!%03d`, 1+r.Intn(99), r.Intn(1000)), fmt.Sprintf(`y = %dx - %d`, 2+r.Intn(9), 1+r.Intn(9)), `\text{Tuesday}`, `\pi`,
		}
		feed(Question{Task: "math", Gold: math[i%len(math)]}, fail)
		feed(Question{Task: "gsm8k", Gold: fmt.Sprint(n)}, fail)
		feed(Question{Task: "table_mwp", Gold: fmt.Sprintf("%d.%02d", r.Intn(500), r.Intn(100))}, fail)
		feed(Question{Task: "table_mwp", Gold: fmt.Sprintf("%d/%d", 1+r.Intn(9), 11+r.Intn(9))}, fail)
		var choices []Option
		for j, k := range r.Perm(len(names))[:2+r.Intn(4)] {
			choices = append(choices, Option{Label: string(rune('A' + j)), Text: names[k]})
		}
		pick := choices[r.Intn(len(choices))]
		feed(Question{Task: "commonsense_qa", Choices: choices, Gold: pick.Label}, fail)
		if len(pick.Text) > 1 { // a text that is another option's label is ambiguous
			feed(Question{Task: "table_mwp", Choices: choices, Gold: pick.Text}, fail)
		}
		feed(Question{Task: "anli", Gold: []string{"true", "false", "neither"}[i%3]}, fail)
		feed(Question{Task: "strategy_qa", Gold: []string{"yes", "no"}[i%2]}, fail)
	}
}

// TestRealGoldFeedback does the same with the rows of the real data sets.
func TestRealGoldFeedback(t *testing.T) {
	root := os.Getenv("DISTILLFLOW_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	files, _ := filepath.Glob(filepath.Join(root, "data", "datasets", "*", "*.jsonl"))
	if len(files) == 0 {
		t.Skip("no real data sets: set DISTILLFLOW_SHARED to the folder that holds data/datasets")
	}
	for _, path := range files {
		task := filepath.Base(filepath.Dir(path))
		if _, ok := preset.Preset(task); !ok {
			continue
		}
		t.Run(task+"/"+filepath.Base(path), func(t *testing.T) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			sc := bufio.NewScanner(f)
			sc.Buffer(make([]byte, 1<<20), 1<<26)
			for sc.Scan() {
				row := rawRow(t, sc.Text())
				choices := testChoices(t, row["choices"])
				g, err := NormalizeGold(task, row, choices)
				if err != nil {
					t.Errorf("%s: %v", row["id"], err)
					continue
				}
				feed(Question{Task: task, Choices: choices, Gold: g.Answer}, func(text string, p Prediction, r mathverify.Result) {
					t.Errorf("%s: %q -> %q (%s%s): %v %s", row["id"], text, p.Answer, p.Rule, p.Reason, r.Verdict, r.Reason)
				})
			}
			if err := sc.Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func testChoices(t *testing.T, raw json.RawMessage) []Option {
	t.Helper()
	if len(raw) == 0 {
		return nil
	}
	var cols struct{ Label, Text []string }
	var out []Option
	if json.Unmarshal(raw, &cols) == nil {
		for i := range cols.Text {
			out = append(out, Option{cols.Label[i], cols.Text[i]})
		}
		return out
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	for i, s := range list {
		out = append(out, Option{string(rune('A' + i)), s})
	}
	return out
}

// benchText is a response of ordinary length.
var benchText = strings.Repeat("First we add the 3 apples to the 4 pears, so there are 3 + 4 = 7 pieces of fruit in the basket.\n", 20) +
	`Therefore, the total is $7 \times 12 = 84$, and the final result is \boxed{84}.`

func BenchmarkExtract(b *testing.B) {
	steps := strings.Repeat("First we add the 3 apples to the 4 pears, so there are 3 + 4 = 7 pieces of fruit in the basket.\n", 20)
	for _, c := range []struct {
		name, task, text string
		choices          []Option
	}{
		{"box", "math", benchText, nil},
		{"cue", "gsm8k", steps + "The answer is 84 – or not 12 × 7?\n\nThe answer is 84.", nil},
		{"sentence", "gsm8k", steps + "So there are 84 pieces. I hope this helps!", nil},
		{"choice", "arc_challenge", steps + "It can't be A. Therefore (B) is right.", abcd},
		{"thoughts", "math", "<think>\n" + steps + "Perhaps \\boxed{83}.\n</think>\n\n" + steps + "**84**", nil},
		{"Chinese", "gsm8k", strings.Repeat("首先，我们把３个苹果和4个梨相加，所以一共有3 + 4 = 7个水果。\n", 20) + "答案是８４。", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := Question{Task: c.task, Choices: c.choices}
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				Extract(q, c.text, Options{})
			}
		})
	}
}

func BenchmarkExtractAndGrade(b *testing.B) {
	q := Question{Task: "math", Gold: `\frac{168}{2}`}
	for b.Loop() {
		p := Extract(q, benchText, Options{})
		Grade(q, p.Answer, mathverify.Options{})
	}
}
