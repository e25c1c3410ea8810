package data

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/task"
)

// TestSeveralGolds reads the right choices of rows that have several.
func TestSeveralGolds(t *testing.T) {
	all, anyOf := task.Task{Answer: task.Choice, Several: "all"}, task.Task{Answer: task.Choice}
	for _, c := range []struct {
		task       task.Task
		gold, want string
	}{
		{all, `["A","C"]`, "A,C"}, {all, `"A,C"`, "A,C"}, {all, `"AC"`, "A,C"}, {all, `[0,2]`, "A,C"},
		{all, `"steam"`, "B"}, {all, `["ice","fog"]`, "A,C"}, {all, `"A and X"`, ""}, {all, `"A and C"`, "A,C"}, {all, `"Cold. The answer is A, C."`, "A,C"}, {all, `"X"`, ""},
		{anyOf, `["A","C"]`, "A,C"}, {anyOf, `"A,C"`, ""},
	} {
		rt, err := declaredTask("water", &c.task)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := parseRow([]byte(`{"id":"1","question":"Q?","choices":["ice","steam","fog"],"gold_answer":`+c.gold+`}`), rt, "")
		got := p.GoldAnswer
		if len(p.GoldAnswers) > 0 {
			got = strings.Join(p.GoldAnswers, ",")
		}
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v, want %q", c.gold, got, err, c.want)
		}
	}
}
