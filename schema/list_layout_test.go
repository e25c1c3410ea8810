package schema

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// randomPath gives every field a chance to be absent, empty-looking or odd.
func randomPath(r *rand.Rand) Path {
	text := func() string {
		return []string{"", "x", "a \"quoted\" \\boxed{1}\nline", "é<&>\u2028", "null"}[r.IntN(5)]
	}
	p := Path{
		Style: []string{"cot", "code", ""}[r.IntN(3)], Replicate: r.IntN(3), Prompt: text(), Reasoning: text(), Response: text(),
		FinishReason: []string{"", "stop", "length"}[r.IntN(3)], Provider: text(), Pred: text(), Rule: text(),
		Reason: text(), Error: text(),
	}
	if r.IntN(2) == 0 {
		p.Span = &Span{Start: r.IntN(9), End: 9 + r.IntN(9)}
	}
	if r.IntN(3) > 0 {
		b := r.IntN(2) == 0
		p.Correct = &b
	}
	if r.IntN(2) == 0 {
		p.Judge = &Judge{Valid: r.IntN(2) == 0, Reason: text()}
	}
	if r.IntN(3) == 0 {
		p.Extra = Fields{{Name: "zeta", Raw: []byte("1.50")}, {Name: "alpha", Raw: []byte(`{"b":[1, 2],"a":null}`)}}
	}
	return p
}

func randomProblem(r *rand.Rand) Problem {
	p := Problem{ID: fmt.Sprint("id-", r.IntN(1000)), Task: "gsm8k", Question: "2 < 3?", GoldAnswer: "18"}
	if r.IntN(2) == 0 {
		p.Choices = []Choice{{"A", "one"}, {"B", ""}}
	}
	if r.IntN(2) == 0 {
		p.Premise, p.Hypothesis, p.Table = "p", "h", "a | b\n1 | 2"
	}
	if r.IntN(2) == 0 {
		p.Extra = Fields{{Name: "unit", Raw: []byte(`"$"`)}, {Name: "level", Raw: []byte("3")}}
	}
	if n := r.IntN(5); n > 0 {
		p.Paths = []Path{}
		for range n - 1 {
			p.Paths = append(p.Paths, randomPath(r))
		}
	}
	return p
}

func TestListsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		want := randomProblem(r)
		line, err := ToLists(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := FromLists(line)
		if err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s\n(-want +got)\n%s", line, d)
		}
		again, err := ToLists(got)
		if err != nil || !bytes.Equal(line, again) {
			t.Fatalf("the second writing differs (%v):\n%s\n%s", err, line, again)
		}
	}
}

func TestProblemRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		want := randomProblem(r)
		line, err := want.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got Problem
		if err := got.UnmarshalJSON(line); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s\n(-want +got)\n%s", line, d)
		}
	}
}

func TestFromListsOfTheScripts(t *testing.T) {
	line := `{"id":"q1","task":"gsm8k","question":"?","gold_answer":"4","note":[1],` +
		`"prompts":["p0","p1","p2"],"responses":["r0","r1",null],"preds":[4,"5",null],"correct_flags":[true,0,null]}`
	got, err := FromLists([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	want := Problem{
		ID: "q1", Task: "gsm8k", Question: "?", GoldAnswer: "4", Extra: Fields{{Name: "note", Raw: []byte("[1]")}},
		Paths: []Path{
			{Prompt: "p0", Response: "r0", FinishReason: "stop", Pred: "4", Correct: &yes},
			{Prompt: "p1", Response: "r1", FinishReason: "stop", Pred: "5", Correct: &no},
			{Prompt: "p2"},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
	if !got.Paths[0].Answered() || got.Paths[2].Answered() {
		t.Error("a path with a response counts as answered, one without does not")
	}
}

func TestListErrors(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"lengths":     {`{"prompts":["a","b"],"responses":["a"]}`, `"responses" has 1 elements, but "prompts" has 2`},
		"styles":      {`{"prompts":["a","b"],"styles":["cot"]}`, `"styles" has 1 elements`},
		"no list":     {`{"prompts":["a"],"responses":"a"}`, `"responses" must be a list`},
		"both":        {`{"prompts":["a"],"paths":[]}`, `both "paths" and the list "prompts"`},
		"prompt type": {`{"prompts":[1]}`, `"prompts"[0]: field "prompt" must be a string, not a number`},
		"flag type":   {`{"responses":["a"],"correct_flags":["yes"]}`, `must be true or false, not a string`},
		"pred type":   {`{"responses":["a"],"preds":[["4"]]}`, `must be a string, not a list`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := FromLists([]byte(c.line))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
	p := Problem{Extra: Fields{{Name: "styles", Raw: []byte(`"x"`)}}, Paths: []Path{}}
	if _, err := ToLists(p); err == nil || !strings.Contains(err.Error(), `"styles" has the name of a list`) {
		t.Errorf("got %v", err)
	}
}

func TestUnrelatedFieldsStay(t *testing.T) {
	line := `{"id":"a","task":"math","question":"?","gold_answer":"1","styles":["x"],"prompts":"free text"}`
	p, err := FromLists([]byte(line))
	if err != nil || p.Paths != nil || len(p.Extra) != 2 {
		t.Fatalf("paths %v, extra %v, err %v", p.Paths, p.Extra, err)
	}
}

func TestWriteEnrichedAndCorrect(t *testing.T) {
	yes, no := true, false
	rows := []Problem{
		{ID: "1", Paths: []Path{{Style: "cot", Response: "a", FinishReason: "stop", Correct: &no}, {Style: "code", Response: "b", FinishReason: "stop", Correct: &yes}}},
		{ID: "2", Paths: []Path{{Style: "cot", Correct: &no}}},
		{ID: "3"},
	}
	var all, correct bytes.Buffer
	n, err := WriteEnriched(&all, seq(rows, nil))
	if err != nil || n != 3 || strings.Count(all.String(), "\n") != 3 {
		t.Fatalf("%d rows, %v:\n%s", n, err, &all)
	}
	n, err = WriteCorrect(&correct, seq(rows, nil))
	if err != nil || n != 1 {
		t.Fatalf("%d rows, %v:\n%s", n, err, &correct)
	}
	got, err := FromLists(bytes.TrimSpace(correct.Bytes()))
	if err != nil || got.ID != "1" || len(got.Paths) != 1 || got.Paths[0].Style != "code" {
		t.Fatalf("%+v, %v", got, err)
	}
	broken := fmt.Errorf("disk gone")
	if n, err := WriteEnriched(&all, seq(rows[:1], broken)); err != broken || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

func seq(rows []Problem, end error) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		if end != nil {
			yield(Problem{}, end)
		}
	}
}

func FuzzFromLists(f *testing.F) {
	for _, s := range []string{
		`{"prompts":["a"],"responses":["b"],"preds":[null],"correct_flags":[1],"styles":["cot"],"path_info":[{}]}`,
		`{"id":"x","paths":[{"style":"cot","span":[1,2],"judge":{"valid":true}}]}`, `[]`, `{"prompts":[]}`, "{\"id\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := FromLists(line)
		if err != nil {
			return
		}
		// What was read can be written and read again, and is then stable.
		first, err := p.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		var q Problem
		if err := q.UnmarshalJSON(first); err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if second, _ := q.AppendJSON(nil); !bytes.Equal(first, second) {
			t.Fatalf("unstable:\n%s\n%s", first, second)
		}
	})
}
