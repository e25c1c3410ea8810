package train

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/schema"
)

func TestMajority(t *testing.T) {
	options := []schema.Choice{{Label: "A", Text: "ice"}, {Label: "B", Text: "steam"}, {Label: "C", Text: "fog"}}
	for _, c := range []struct {
		spec    string // "" for gsm8k
		choices []schema.Choice
		golds   string // rows by |, several right answers by ;
		want    string
		right   int
	}{
		{"", nil, "18|3|18|18.0", "18", 2},
		{"", nil, "4|3", "3", 1},
		{`{"answer":"label","labels":{"refund":["money back"],"cancel":[]}}`, nil, "cancel|refund|refund", "refund", 2},
		{`{"answer":"yes_no"}`, nil, "yes|no|no", "no", 2},
		{`{"answer":"text"}`, nil, "The Thames|Oslo|thames|Thames!", "Thames!", 3},
		{`{"answer":"text"}`, nil, "Bern;Berne|Oslo|berne;BERN|Rome", "BERN", 2},
		{`{"answer":"text","f1":0.6}`, nil, "town hall|the old town hall|town hall", "town hall", 3},
		{`{"answer":"choice"}`, options, "A;B|B;C|C", "B", 2},
		{`{"answer":"choice","several":"all"}`, options, "A;B|B|A|B;A|C", "A, B", 2},
		{`{"answer":"number","tolerance":0.1}`, nil, "100|95|100|3", "100", 3},
	} {
		var test []schema.Problem
		var rows []int
		for i, golds := range strings.Split(c.golds, "|") {
			p := schema.Problem{ID: strconv.Itoa(i), Task: "gsm8k", Choices: c.choices, TaskSpec: []byte(c.spec)}
			all := strings.Split(golds, ";")
			if p.GoldAnswer = all[0]; len(all) > 1 {
				p.GoldAnswers = all
			}
			test, rows = append(test, p), append(rows, i)
		}
		best, right, err := majority(test, rows)
		n := 0
		for _, ok := range right {
			if ok {
				n++
			}
		}
		if got := fmt.Sprint(best, n, err); got != fmt.Sprint(c.want, c.right, nil) {
			t.Errorf("%s %s: %s, want %s %d", c.spec, c.golds, got, c.want, c.right)
		}
	}
	if _, _, err := majority([]schema.Problem{{ID: "x", TaskSpec: []byte("{")}}, []int{0}); err == nil {
		t.Error("a broken task_spec passes")
	}
}
