package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/schema"
)

// A text of any length must not make a page that the browser dies of.
func TestRecordsOfAnyLengthFitAPage(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("word ", 1<<18)
	p := &schema.Problem{ID: long, Task: long, Question: long, GoldAnswer: long, Paths: []schema.Path{{
		Style: long, Prompt: long, Reasoning: long, Response: long, Pred: long, Reason: long, Error: long, Provider: long, FinishReason: long,
		Span: &schema.Span{Start: 1 << 19, End: 1 << 20}, Judge: &schema.Judge{Reason: long},
	}}}
	var row strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&row, `,"%d":"x"`, i)
	}
	for name, rec := range map[string]record{
		"path":        {problem: p},
		"row":         {row: []byte(`{"a":"` + long + `","` + long + `":1}`)},
		"many fields": {row: []byte("{" + row.String()[1:] + "}")},
	} {
		page, err := s.render("exported", exportView{Records: []*recordView{{record: rec}}})
		if err != nil {
			t.Fatal(err)
		}
		if most := 5 << 20; len(page) > most {
			t.Errorf("%s: a page of %d bytes, want at most %d", name, len(page), most)
		}
		if want := map[string]string{"path": "characters left out", "row": " … ", "many fields": "fields left out"}[name]; !strings.Contains(string(page), want) {
			t.Errorf("%s: the page does not say that something is left out", name)
		}
	}
	f := facets{counts: map[string]map[string]int{"style": {}}}
	if f.add("style", long); len(f.counts["style"]) > 0 {
		t.Error("a long style is a choice of the filter")
	}
}

func TestWhyOfARunningStageIsForPeople(t *testing.T) {
	got := why(&runrecord.Stage{State: runrecord.Running, Progress: &event.Event{Done: 3, Total: 9, Unit: "rows",
		Values: map[string]float64{"calls": 3, "eta_s": 12, "in_flight": 2, "errors_rate": 1}}})
	if want := "3 of 9 rows, 3 calls (2 in flight), errors: rate 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
