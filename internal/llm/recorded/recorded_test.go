package recorded_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/recorded"
)

func book(t *testing.T, text string) *recorded.Book {
	t.Helper()
	all, err := recorded.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var b recorded.Book
	b.Add(all...)
	return &b
}

func TestFind(t *testing.T) {
	b := book(t, `{"id":"a","style":"cot","answer":"by id"}

{"match":"(?i)how many","replicate":1,"answer":"by expression"}
{"prompt":"How many nuts?","answer":"by prompt"}
{"prompt":"How many nuts?","try":1,"answer":"second try"}
{"id":"a","verdict":"invalid","reason":"no"}
{"stage":"judged","answer":"by stage"}
{"model":"openai/m","style":"tree","finish_reason":"length","answer":"cut"}
`)
	for _, tc := range []struct {
		name string
		q    recorded.Query
		want string
	}{
		{"id and style", recorded.Query{ID: "a", Style: "cot", Prompt: "x"}, "by id"},
		{"other style", recorded.Query{ID: "a", Style: "code", Prompt: "x"}, ""},
		{"full prompt", recorded.Query{ID: "b", Prompt: "How many nuts?"}, "by prompt"},
		{"the first of several", recorded.Query{ID: "b", Prompt: "How many nuts?", Replicate: 1}, "by expression"},
		{"no part of a prompt", recorded.Query{ID: "b", Prompt: "How many nuts? Say it."}, ""},
		{"second try", recorded.Query{Prompt: "How many nuts?", Try: 1}, "second try"},
		{"a judge is no teacher", recorded.Query{ID: "a", Style: "cot", Judge: true}, `{"reason":"no","verdict":"invalid"}`},
		{"stage of a judge", recorded.Query{ID: "b", Stage: "judged", Judge: true}, "by stage"},
		{"model", recorded.Query{Style: "tree", Model: "openai/m"}, "cut"},
		{"other model", recorded.Query{Style: "tree", Model: "openai/n"}, ""},
	} {
		got := ""
		if a := b.Find(tc.q); a != nil {
			r, err := a.Response()
			if err != nil {
				t.Fatal(err)
			}
			got = r.Text
			if want := map[bool]string{true: llm.FinishLength, false: llm.FinishStop}[got == "cut"]; r.FinishReason != want {
				t.Errorf("%s: finish reason %q, want %q", tc.name, r.FinishReason, want)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if d := cmp.Diff([]bool{true, true, true, true, true, true, true}, b.Used()); d != "" {
		t.Error(d)
	}
}

func TestWrongAnswers(t *testing.T) {
	for text, want := range map[string]string{
		`{"answer":"5"}`:                              "line 1: it does not say which request it answers",
		"\n" + `{"id":"a","anser":"5"}`:               `line 2: unknown field "anser"`,
		`{"id":"a","answer":"5","error":"x"}`:         "give one of answer, verdict and error",
		`{"id":"a","verdict":"good"}`:                 `verdict "good" is neither`,
		`{"id":"a","answer":"5","reason":"because"}`:  "reason goes with verdict",
		`{"match":"(","answer":"5"}`:                  "match: error parsing regexp",
		`{"id":"a","answer":"5"}{"id":"b"}`:           "more than one JSON value",
		`[1]`:                                         "cannot unmarshal",
		`{"id":"a","answer":"5"}` + "\n" + `{"id":"b`: "line 2: unexpected EOF",
	} {
		_, err := recorded.Read(strings.NewReader(text))
		var line *recorded.LineError
		if !errors.As(err, &line) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// What was recorded is found by the request that it came from, and by no other replicate.
func TestRecordAndReplay(t *testing.T) {
	q := recorded.QueryOf(llm.Call{Provider: "openai", Style: "cot", Request: llm.Request{Model: "m", Replicate: 2, Messages: []llm.Message{
		{Role: llm.RoleSystem, Content: "Be brief."}, {Role: llm.RoleUser, Content: "Is 1 < 2 & 2 > 1?\u2028"},
	}}})
	var file bytes.Buffer
	if err := recorded.Write(&file, []recorded.Answer{recorded.Of(q, &llm.Response{Text: "Yes.", FinishReason: "stop", Reasoning: "hm"})}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(file.String(), "1 < 2 & 2 > 1") {
		t.Errorf("hard to read: %s", file.String())
	}
	b := book(t, file.String())
	a := b.Find(q)
	if a == nil {
		t.Fatalf("%s does not answer its request", file.String())
	}
	if r, err := a.Response(); err != nil || r.Text != "Yes." || r.Reasoning != "hm" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, change := range []func(*recorded.Query){
		func(q *recorded.Query) { q.Replicate = 0 },
		func(q *recorded.Query) { q.Try = 1 },
		func(q *recorded.Query) { q.Model = "openai/n" },
		func(q *recorded.Query) { q.System = "" },
		func(q *recorded.Query) { q.Prompt += "?" },
	} {
		other := q
		change(&other)
		if b.Find(other) != nil {
			t.Errorf("%+v is answered by %s", other, file.String())
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"id":"a","answer":"5"}`)
	f.Add(`{"match":"[a-","replicate":1}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := recorded.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if err := recorded.Write(&once, all); err != nil {
			t.Fatal(err)
		}
		again, err := recorded.Read(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, once.String(), err)
		}
		if err := recorded.Write(&twice, again); err != nil || once.String() != twice.String() {
			t.Errorf("%q became %q (%v)", once.String(), twice.String(), err)
		}
	})
}
