package train

import (
	"fmt"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// lookups are questions about the second of two numbers, of every combination those that
// are held out, or the others. With shuffle, the answers that are taught are those of
// other questions.
func lookups(heldOut, shuffle bool) (out []schema.Problem) {
	for n := range 100 {
		a, b := n%10, n/10
		if (a+2*b)%4 == 0 != heldOut {
			continue
		}
		answer := fmt.Sprint(b)
		p := schema.Problem{ID: fmt.Sprint("lookup", n), Task: "gsm8k", Question: fmt.Sprintf("Ann has %d, Bob has %d. Bob?", a, b), GoldAnswer: answer}
		if shuffle {
			answer = fmt.Sprint((a*7 + b*3 + 1) % 10)
		}
		for _, style := range []string{"The answer is %s.", "It is %[1]s. The answer is %[1]s."} {
			p.Paths = append(p.Paths, schema.Path{Style: style[:2], Response: fmt.Sprintf(style, answer), FinishReason: "stop"})
		}
		out = append(out, p)
	}
	return out
}

// Students learn: on combinations of numbers that they were not trained on, each beats
// its untrained self and the most frequent answer; from shuffled answers neither does.
// The long form of this test is TestStudentsLearnAndShuffledGoldDoesNot.
func TestStudentsLearn(t *testing.T) {
	if testing.Short() {
		t.Skip("learning takes minutes under the race detector, and races show in the tests of single steps")
	}
	const cfg = `{
		"students": [
			{"name": "llama", "arch": "llama", "d_model": 16, "layers": 1, "tokenizer": "word", "lr": 0.02},
			{"name": "gemma", "arch": "gemma", "d_model": 16, "layers": 1, "tokenizer": "bpe", "lr": 0.02}
		],
		"warmup_steps": 80, "warmup_batch": 16, "max_steps": 12
	}`
	for _, shuffle := range []bool{false, true} {
		test := lookups(true, false)
		for i := range test {
			test[i].Paths = nil
		}
		m, _ := trainAndEvaluate(t, 1, lookups(false, shuffle), test, cfg, stage.Services{})
		for _, name := range []string{"llama", "gemma"} {
			learned := m[name+"/trained"].Low > max(m[name+"/untrained"].High, m["majority/baseline"].High)
			if learned == shuffle {
				t.Errorf("shuffled %v: student %s learned: %v; %s", shuffle, name, learned, showScores(m))
			}
		}
	}
}
