package simulated

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/llm"
)

var styles = []string{"cot", "code", "knowledge", "tree", "forward-backward", "plain", "power"}

func sure(t testing.TB, acc float64) *Client {
	t.Helper()
	o := Options{Accuracy: map[string]float64{DefaultStyle: acc}, JudgeValid: 1}
	for _, s := range styles {
		o.Accuracy[s] = acc
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t testing.TB, c *Client, h llm.Hint, prompt string, replicate int) *llm.Response {
	t.Helper()
	r, err := c.Complete(context.Background(), llm.Request{
		Messages: []llm.Message{{Role: llm.RoleUser, Content: prompt}}, Replicate: replicate, Hint: &h,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var words = llm.Hint{Task: "gsm8k", Question: "q", Gold: "14", Solution: "4 + 3 = 7. 7 * 2 = 14. #### 14"}

func TestShapes(t *testing.T) {
	want := map[string]string{
		"cot":              "4 + 3 = 7. 7 * 2 = 14. The answer is 14.",
		"code":             "a = 4 + 3 # 7\nb = a * 2 # 14\nprint(b)\nThe answer is 14.",
		"knowledge":        "Rule: add, then multiply. 4 + 3 = 7. 7 * 2 = 14. The answer is 14.",
		"tree":             "Path 1: 4 - 3, no. Path 2: 4 + 3 = 7, 7 * 2 = 14, yes. The answer is 14.",
		"forward-backward": "4 + 3 = 7. 7 * 2 = 14. Back: 14 / 2 = 7. The answer is 14.",
		"plain":            "So 4 + 3 = 7 and 7 * 2 = 14. The answer is 14.",
		"power":            "Part 1: 4 + 3 = 7. Part 2: 7 * 2 = 14. Check: 14 / 2 = 7. The answer is 14.",
		"my own style":     "4 + 3 = 7. 7 * 2 = 14. The answer is 14.",
	}
	c := sure(t, 1)
	for style, text := range want {
		h := words
		h.Style = style
		if got := ask(t, c, h, "p", 0); got.Text != text || got.FinishReason != llm.FinishStop {
			t.Errorf("%s:\n got %q (%s)\nwant %q", style, got.Text, got.FinishReason, text)
		}
	}
}

// cases covers every form of answer. rights are texts the right answer must end in.
var cases = []struct {
	name string
	hint llm.Hint
	form func(answer string) bool // what a wrong answer must look like
}{
	{"number", words, func(a string) bool { _, ok := number(a); return ok }},
	{"annotated prose", llm.Hint{Task: "gsm8k", Gold: "10", Solution: "Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute.\nWorking 50 minutes, she earned 0.2 x 50 = $<<0.2*50=10>>10.\n#### 10"},
		func(a string) bool { _, ok := number(a); return ok }},
	{"letters", llm.Hint{Task: "arc_challenge", Gold: "C", Choices: []llm.Choice{{Label: "A", Text: "iron"}, {Label: "B", Text: "wood"}, {Label: "C", Text: "air"}}},
		func(a string) bool { return a == "A" || a == "B" }},
	{"choice texts", llm.Hint{Task: "table_mwp", Gold: "linear", Choices: []llm.Choice{{Text: "linear"}, {Text: "nonlinear"}}},
		func(a string) bool { return a == "nonlinear" }},
	{"yes or no", llm.Hint{Task: "strategy_qa", Gold: "yes"}, func(a string) bool { return a == "no" }},
	{"three-way", llm.Hint{Task: "anli", Gold: "neither"}, func(a string) bool { return a == "true" || a == "false" }},
	{"three-way false", llm.Hint{Task: "anli", Gold: "false"}, func(a string) bool { return a == "true" || a == "neither" }},
	{"two-way", llm.Hint{Task: "strategy_qa", Gold: "True"}, func(a string) bool { return a == "False" || a == "Neither" }},
	{"entailment", llm.Hint{Task: "anli", Gold: "neutral"}, func(a string) bool { return a == "entailment" || a == "contradiction" }},
	{"latex", llm.Hint{Task: "math", Gold: `\frac{3}{4}`, Solution: "We divide.\nSo it is $\\boxed{\\frac{3}{4}}$."},
		func(a string) bool { return strings.HasPrefix(a, `\frac{3}{`) }},
	{"word", llm.Hint{Task: "table_mwp", Gold: "blue"}, func(a string) bool { return a == "not blue" }},
	{"empty gold", llm.Hint{}, func(a string) bool { _, ok := number(a); return ok }},
}

func stated(text string) (string, bool) {
	_, a, ok := strings.Cut(text, "The answer is ")
	a = strings.TrimSuffix(a, ".")
	if inner, boxed := strings.CutPrefix(a, `\boxed{`); boxed {
		return strings.TrimSuffix(inner, "}"), ok
	}
	if inner, letter := strings.CutPrefix(a, "("); letter {
		return strings.TrimSuffix(inner, ")"), ok
	}
	return a, ok
}

func TestRightAndWrongAnswers(t *testing.T) {
	right, wrong := sure(t, 1), sure(t, 0)
	for _, tc := range cases {
		for _, style := range styles {
			h := tc.hint
			h.Style = style
			for rep := range 20 {
				r := ask(t, right, h, "p", rep)
				if a, ok := stated(r.Text); !ok || h.Gold != "" && a != h.Gold {
					t.Fatalf("%s/%s right: %q", tc.name, style, r.Text)
				}
				if strings.Count(r.Text, "The answer is") != 1 || strings.Count(r.Text, `\boxed`) > 1 {
					t.Fatalf("%s/%s states its answer more than once: %q", tc.name, style, r.Text)
				}
				w := ask(t, wrong, h, "p", rep)
				if a, ok := stated(w.Text); !ok || a == h.Gold || !tc.form(a) {
					t.Fatalf("%s/%s wrong: %q", tc.name, style, w.Text)
				}
				if h.Gold != "" && w.Text == r.Text {
					t.Fatalf("%s/%s: wrong equals right", tc.name, style)
				}
			}
		}
	}
}

// A wrong answer's reasoning must lead to it: the last equation ends in the stated answer,
// and the body differs from the right one.
func TestSlipsPropagate(t *testing.T) {
	right, wrong := sure(t, 1), sure(t, 0)
	for rep := range 200 {
		h := words
		h.Style = "cot"
		w, r := ask(t, wrong, h, "p", rep).Text, ask(t, right, h, "p", rep).Text
		body, answer, _ := strings.Cut(w, " The answer is ")
		if !strings.HasSuffix(body, "= "+answer) {
			t.Fatalf("%q does not lead to its answer", w)
		}
		if rb, _, _ := strings.Cut(r, " The answer is "); rb == body {
			t.Fatalf("%q reasons as the right answer does", w)
		}
	}
}

func TestGoldChangesOutput(t *testing.T) {
	c := sure(t, 1)
	for _, tc := range cases {
		if tc.hint.Gold == "" || len(tc.hint.Choices) > 0 {
			continue
		}
		a, b := tc.hint, tc.hint
		b.Gold, b.Solution = "99", ""
		if ask(t, c, a, "p", 0).Text == ask(t, c, b, "p", 0).Text {
			t.Errorf("%s: another gold answer gave the same text", tc.name)
		}
	}
}

func TestDeterministicAndSensitive(t *testing.T) {
	def, err := New(DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.Seed = 7
	other, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	all := func(c *Client, prompt string) (out []string) {
		for rep := range 100 {
			h := words
			h.Style = "tree"
			r := ask(t, c, h, prompt, rep)
			out = append(out, r.Text+"|"+r.FinishReason)
		}
		return out
	}
	base := all(def, "p")
	if d := cmp.Diff(base, all(def, "p")); d != "" {
		t.Errorf("not deterministic:\n%s", d)
	}
	if cmp.Equal(base, all(other, "p")) {
		t.Error("the seed changes nothing")
	}
	if cmp.Equal(base, all(def, "another prompt")) {
		t.Error("the prompt changes nothing")
	}
	distinct := map[string]bool{}
	for _, s := range base {
		distinct[s] = true
	}
	if len(distinct) < 5 {
		t.Errorf("100 replicates gave only %d different answers", len(distinct))
	}
}

// The rates are binomial: with n draws the share lies within 4.5 standard errors of the
// option but for one run in 100,000, and the draws are fixed by the hash.
func TestRates(t *testing.T) {
	c, err := New(DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	const n = 3000
	for _, style := range styles {
		var cut, silent, right, answered float64
		for i := range n {
			h := words
			h.Style = style
			r := ask(t, c, h, fmt.Sprint("prompt ", i), 0)
			a, ok := stated(r.Text)
			switch {
			case r.FinishReason == llm.FinishLength:
				cut++
				if ok {
					t.Fatalf("a truncated answer states its result: %q", r.Text)
				}
			case !ok:
				silent++
			default:
				answered++
				if a == h.Gold {
					right++
				}
			}
		}
		near := func(what string, got, of, want float64) {
			if se := math.Sqrt(want * (1 - want) / of); math.Abs(got/of-want) > 4.5*se {
				t.Errorf("%s: %s is %.4f, want %.4f", style, what, got/of, want)
			}
		}
		near("truncated", cut, n, .01)
		near("unparsable", silent, n, .02)
		near("accuracy", right, answered, DefaultOptions().Accuracy[style])
	}
}

func TestMaxTokensCuts(t *testing.T) {
	h := words
	h.Style = "cot"
	r, err := sure(t, 1).Complete(context.Background(), llm.Request{MaxTokens: 5, Hint: &h})
	if err != nil {
		t.Fatal(err)
	}
	if r.Text != "4 + 3 = 7" || r.FinishReason != llm.FinishLength {
		t.Errorf("got %q, %s", r.Text, r.FinishReason)
	}
}

// Small students of the sample recipes see at most 64 tokens and about 160 words.
func TestAnswersAreShort(t *testing.T) {
	c, vocabulary := sure(t, .5), map[string]bool{}
	for _, style := range styles {
		h := words
		h.Style = style
		for rep := range 50 {
			r := ask(t, c, h, "p", rep)
			if n := countTokens(r.Text); n > 40 {
				t.Errorf("%s: %d tokens in %q", style, n, r.Text)
			}
			for _, w := range strings.FieldsFunc(r.Text, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') }) {
				vocabulary[w] = true
			}
		}
	}
	if len(vocabulary) > 30 {
		t.Errorf("%d frame words: %v", len(vocabulary), vocabulary)
	}
}

func TestJudge(t *testing.T) {
	c := sure(t, 1)
	for _, tc := range []struct{ text, want string }{
		{"4 + 3 = 7. 7 * 2 = 14. The answer is 14.", "valid"},
		{"4 + 3 = 8. 8 * 2 = 16. The answer is 16.", "invalid"},
		{"She earned 0.2 x 50 = $10. 1/3 = 0.33 of it.", "valid"},
		{"The sum is 1,000 + 20 = 1,020", "valid"},
		{"The sum is 1,000 + 20 = 1,021", "invalid"},
		{"x = 3 and y = 2 + 2 = 5", "invalid"},
		{"3 + 4 = 2 + 5", "valid"},
		{"It follows. The answer is B.", "valid"},
		{"  ", "invalid"},
	} {
		r := ask(t, c, llm.Hint{Kind: llm.HintJudge, Response: tc.text}, "p", 0)
		if !strings.Contains(r.Text, `"verdict":"`+tc.want+`"`) {
			t.Errorf("%q: %s, want %s", tc.text, r.Text, tc.want)
		}
	}
}

// The judge finds no fault with what the teacher reasons rightly, and finds the slips: a
// wrong answer passes only where the slip is a wrong operation, carried out correctly.
func TestJudgeAgreesWithTheTeacher(t *testing.T) {
	right, wrong := sure(t, 1), sure(t, 0)
	caught, all := 0, 0
	for _, style := range styles {
		for a := 2; a < 12; a++ {
			h := llm.Hint{Task: "gsm8k", Style: style, Gold: fmt.Sprint(a*3 - 1), Solution: fmt.Sprintf("%d * 3 = %d. %d - 1 = %d. #### %d", a, a*3, a*3, a*3-1, a*3-1)}
			text := ask(t, right, h, "p", 0).Text
			if bad := falseEquation(text); bad != "" {
				t.Errorf("%s: %q is called false in %q", style, bad, text)
			}
			if all++; falseEquation(ask(t, wrong, h, "p", 0).Text) != "" {
				caught++
			}
		}
	}
	if caught == 0 || caught == all {
		t.Errorf("the judge caught %d of %d wrong answers", caught, all)
	}
}

// A request to think, or not to, goes before the options.
func TestThinkingAsRequested(t *testing.T) {
	for _, tc := range []struct {
		options bool
		asked   llm.Thinking
		want    bool
	}{
		{false, llm.Thinking{}, false},
		{false, llm.Thinking{Effort: "low"}, true},
		{false, llm.Thinking{BudgetTokens: 100}, true},
		{true, llm.Thinking{}, true},
		{true, llm.Thinking{Off: true}, false},
	} {
		o := DefaultOptions()
		o.Thinking = tc.options
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		h := cases[0].hint
		r, err := c.Complete(t.Context(), llm.Request{Hint: &h, Thinking: tc.asked, Messages: []llm.Message{{Role: "user", Content: "p"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Reasoning != "" && r.Usage.ReasoningTokens > 0; got != tc.want {
			t.Errorf("%+v: thought %q, %d tokens of it", tc, r.Reasoning, r.Usage.ReasoningTokens)
		}
	}
}

// A teacher that thinks gives the answers of one that does not, and a thought that states
// another one before; inline it stands in the text.
func TestThinking(t *testing.T) {
	o := DefaultOptions()
	o.Truncated = .2
	plain, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Thinking = true
	apart, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Inline = true
	inline, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for i := range 200 {
		h := cases[i%len(cases)].hint
		h.Style = styles[i%len(styles)]
		if i%10 == 0 {
			h = llm.Hint{Kind: llm.HintJudge, Response: "2 + 2 = 4."}
		}
		p, a, in := ask(t, plain, h, "p", i), ask(t, apart, h, "p", i), ask(t, inline, h, "p", i)
		if p.Reasoning != "" || a.Reasoning == "" || a.FinishReason != p.FinishReason || in.Reasoning != "" || in.FinishReason != p.FinishReason {
			t.Fatalf("%+v, %+v, %+v", p, a, in)
		}
		if p.FinishReason == llm.FinishLength {
			cut++
			if a.Text != "" || in.Text != "<think>\n"+a.Reasoning+"\n" {
				t.Errorf("cut off: %+v, %+v", a, in)
			}
			continue
		}
		if a.Text != p.Text || in.Text != "<think>\n"+a.Reasoning+"\n</think>\n\n"+p.Text {
			t.Errorf("%+v, %+v, %+v", p, a, in)
		}
		if h.Kind == "" && strings.Contains(p.Text, "The answer is") && strings.Contains(a.Reasoning, p.Text[strings.LastIndex(p.Text, "The answer is"):]) {
			t.Errorf("the thought %q states the answer of %q", a.Reasoning, p.Text)
		}
		if want := countTokens(a.Reasoning) + countTokens(a.Text); a.Usage.CompletionTokens != want || in.Usage.CompletionTokens != want {
			t.Errorf("%d and %d tokens, want %d", a.Usage.CompletionTokens, in.Usage.CompletionTokens, want)
		}
	}
	if cut == 0 {
		t.Error("nothing was cut off")
	}
	h := cases[0].hint
	r, err := apart.Complete(context.Background(), llm.Request{MaxTokens: 5, Hint: &h})
	if err != nil || r.Text != "" || countTokens(r.Reasoning) != 5 || r.FinishReason != llm.FinishLength {
		t.Errorf("%+v, %v: want 5 tokens of thought", r, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{Accuracy: map[string]float64{"cot": 1.5}}, {Unparsable: -.1}, {Truncated: math.NaN()},
		{Unparsable: .6, Truncated: .6}, {JudgeValid: 2},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, tc := range cases {
		f.Add(tc.hint.Gold, tc.hint.Solution, "code", 0)
	}
	f.Add("12%", "12 % 5 = 2 <<", "tree", 1)
	f.Add("-3", "((((1=1", "power", 2)
	f.Add("5", "<<5=5>> <<1/0=3>>", "forward-backward", 3)
	f.Fuzz(func(t *testing.T, gold, solution, style string, rep int) {
		h := llm.Hint{Task: "gsm8k", Style: style, Gold: gold, Solution: solution}
		r := ask(t, sure(t, 1), h, "p", rep)
		if g := strings.TrimSpace(gold); g != "" && !strings.HasSuffix(r.Text, "The answer is "+g+".") {
			t.Errorf("right answer %q does not end in %q", r.Text, g)
		}
		w := ask(t, sure(t, 0), h, "p", rep)
		if i := strings.LastIndex(w.Text, "The answer is "); i < 0 || strings.TrimSpace(gold) != "" && w.Text[i:] == "The answer is "+strings.TrimSpace(gold)+"." {
			t.Errorf("wrong answer %q states the gold %q", w.Text, gold)
		}
		ask(t, sure(t, 1), llm.Hint{Kind: llm.HintJudge, Response: solution}, "p", rep)
	})
}

func BenchmarkAnswer(b *testing.B) {
	c := sure(b, .5)
	h := cases[1].hint
	h.Style = "code"
	b.ReportAllocs()
	for i := range b.N {
		ask(b, c, h, "Solve the problem step by step.", i)
	}
}
