package pages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/schema"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 100000: "100,000", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	yes, no := true, false
	for want, p := range map[Verdict]schema.Path{
		Right:      {FinishReason: "stop", Pred: "4", Correct: &yes},
		Wrong:      {FinishReason: "stop", Pred: "5", Correct: &no},
		Unparsed:   {FinishReason: "stop", Correct: &no},
		Invalid:    {FinishReason: "stop", Pred: "4", Correct: &yes, Judge: &schema.Judge{}},
		Unanswered: {Error: "timeout"},
		Ungraded:   {FinishReason: "stop", Response: "4"},
	} {
		if got := VerdictOf(&p); got != want {
			t.Errorf("%+v is %s, want %s", p, got, want)
		}
	}
}

// A planted script, link or end of a tag stays text in every place.
func TestPathIsText(t *testing.T) {
	const evil = `<script>alert(1)</script><a href="javascript:alert(2)">x</a></div>"'`
	no := false
	p := &schema.Problem{ID: evil, Question: evil, GoldAnswer: evil, Task: evil, Paths: []schema.Path{{
		Style: evil, Prompt: evil, Reasoning: evil, Response: evil + evil + evil, Span: &schema.Span{Start: len(evil), End: 2 * len(evil)},
		FinishReason: "stop", Provider: evil, Pred: evil, Rule: evil, Correct: &no, Reason: evil + "!", Error: evil, Judge: &schema.Judge{Reason: evil},
	}}}
	var b strings.Builder
	for _, name := range []string{"pathline", "path"} {
		if err := Templates().ExecuteTemplate(&b, name, NewPath(p, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	page := b.String()
	for _, bad := range []string{"<script", "<a ", `"'`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s:\n%s", bad, page)
		}
	}
	if n := strings.Count(page, "<mark>"); n != 1 {
		t.Errorf("%d marked spans", n)
	}
	if n := strings.Count(page, "&lt;script&gt;"); n != 18 {
		t.Errorf("%d texts, want each of them", n)
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		span *schema.Span
		want string
	}{
		{nil, "abcdef||"},
		{&schema.Span{Start: 2, End: 4}, "ab|cd|ef"},
		{&schema.Span{Start: 0, End: 6}, "|abcdef|"},
		{&schema.Span{Start: 4, End: 7}, "abcdef||"},
		{&schema.Span{Start: -1, End: 3}, "abcdef||"},
		{&schema.Span{Start: 3, End: 3}, "abcdef||"},
	} {
		v := NewPath(&schema.Problem{Paths: []schema.Path{{Response: "abcdef", Span: c.span}}}, 0, 0)
		var parts []string
		for _, p := range []*Text{v.Before, v.Marked, v.After} {
			if p == nil {
				p = &Text{}
			}
			parts = append(parts, p.Text)
		}
		if got := strings.Join(parts, "|"); got != c.want {
			t.Errorf("%+v: %s, want %s", c.span, got, c.want)
		}
	}
}

func TestLongText(t *testing.T) {
	got := newText(strings.Repeat("é", 100), 21)
	if d := cmp.Diff(&Text{Text: strings.Repeat("é", 5), Tail: strings.Repeat("é", 5), Left: 90, Size: 100}, got); d != "" {
		t.Error(d)
	}
}

// A list shows the beginnings of what is long; the facts have all up to the limit.
func TestLongAnswer(t *testing.T) {
	long := strings.Repeat("é", 300)
	v := NewPath(&schema.Problem{GoldAnswer: long, Paths: []schema.Path{{Pred: long + "\nx"}}}, 0, 400)
	if n := len([]rune(v.Pred)); n != 100 || !strings.HasSuffix(v.Pred, "…") || v.Gold != v.Pred {
		t.Errorf("a prediction of %d characters, gold %q", n, v.Gold)
	}
	if d := cmp.Diff([]Fact{{"Prediction", strings.Repeat("é", 100) + " … " + strings.Repeat("é", 99) + "\nx"}, {"Gold answer", strings.Repeat("é", 100) + " … " + strings.Repeat("é", 100)}}, v.Facts); d != "" {
		t.Error(d)
	}
}
