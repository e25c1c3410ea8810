package sampledata

import (
	"slices"
	"strings"
	"testing"
)

// Every family is whole, its worked answers end in the right answer, and the splits share
// no question, nor a word or number to spell.
func TestRouting(t *testing.T) {
	train, test := Routing(Train, 50), Routing(Test, 30)
	if len(train) != 50*len(RoutingFamilies) || len(test) != 30*len(RoutingFamilies) {
		t.Fatalf("%d and %d problems", len(train), len(test))
	}
	asked, subjects := map[string]bool{}, map[string]bool{}
	for _, p := range train {
		asked[p.Question] = true
		words := strings.Fields(strings.Trim(p.Question, "?."))
		switch p.Family {
		case "letters":
			subjects[words[len(words)-1]] = true
			if word := words[len(words)-1]; p.Answer != word[:1] && !strings.HasSuffix(word, p.Answer) {
				t.Errorf("%s: %s", p.Question, p.Answer)
			}
		case "digits":
			subjects[words[1]] = true
			d := strings.Split(p.Answer, "")
			slices.Reverse(d)
			if strings.Join(d, "") != words[1] {
				t.Errorf("%s: %s", p.Question, p.Answer)
			}
		}
		if len(p.Responses) != len(RoutingStyles) || len(p.Styles) != len(RoutingStyles) {
			t.Fatalf("%s has %d styles and %d responses", p.ID, len(p.Styles), len(p.Responses))
		}
		for i, r := range p.Responses {
			if !strings.HasSuffix(r, "The answer is "+p.Answer+".") || p.Styles[i] != p.Family+"-"+RoutingStyles[i] {
				t.Errorf("%s, %s: %s", p.ID, p.Styles[i], r)
			}
		}
	}
	for _, p := range test {
		words := strings.Fields(strings.Trim(p.Question, "?."))
		if asked[p.Question] || p.Family == "letters" && subjects[words[len(words)-1]] || p.Family == "digits" && subjects[words[1]] {
			t.Errorf("training knows %q", p.Question)
		}
	}
}
