package schema

import (
	"encoding/json"
	"testing"
)

func TestSetScore(t *testing.T) {
	p := Path{Style: "cot", Extra: Fields{{"note", []byte(`"x"`)}}}
	copied := p
	for _, model := range []string{"b", "a", "b"} {
		if err := p.SetScore(model, PathScore{Tokens: 2, RSR: 0.5}); err != nil {
			t.Fatal(err)
		}
	}
	one := `{"tokens":2,"loss_per_byte":0,"perplexity":0,"surprisal":0,"rank":0,"rsr":0.5}`
	got, err := json.Marshal(Problem{Paths: []Path{p}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"","task":"","question":"","gold_answer":"","paths":[{"style":"cot","replicate":0,"note":"x","scores":{"a":` + one + `,"b":` + one + `}}]}`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(copied.Extra) != 1 {
		t.Errorf("a copy of the path changed: %s", copied.Extra.Get("scores"))
	}
	for _, other := range []string{`7`, `[1]`, `null`} {
		p := Path{Extra: Fields{{"scores", []byte(other)}}}
		if err := p.SetScore("a", PathScore{}); err == nil {
			t.Errorf("scores: %s: no error", other)
		}
	}
}
