package main

import (
	"os"
	"testing"

	"github.com/tidwall/gjson"
)

// Every command of docs/tutorial.md works as it stands there and prints what it shows, and
// both students learn.
func TestTutorialPage(t *testing.T) {
	if raced {
		t.Skip("starts many processes one after the other")
	}
	p := readPage(t, "tutorial.md")
	t.Chdir(t.TempDir())
	p.run(t)
	scores, err := os.ReadFile("shop/results/scores.scores.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, student := range []string{"llama", "gemma"} {
		of := func(kind string) float64 {
			return gjson.GetBytes(scores, `..#(system=="`+student+`")#|#(kind=="`+kind+`").accuracy`).Num
		}
		if of("trained") <= of("untrained") {
			t.Errorf("%s did not learn:\n%s", student, scores)
		}
	}
}
