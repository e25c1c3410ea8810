package prompt

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/schema"
)

// chosen gives the questions of the examples that a row gets from rows.
func chosen(t *testing.T, cfg shotsConfig, rows []schema.Problem, row schema.Problem) []string {
	t.Helper()
	e := &examples{cfg: cfg, byTask: map[string][]example{}}
	for _, r := range rows {
		if err := e.add(r); err != nil {
			t.Fatal(err)
		}
	}
	for name, list := range e.byTask {
		if len(list) > cfg.N+2 {
			t.Errorf("%d rows of %s are held for %d examples", len(list), name, cfg.N)
		}
	}
	shots, err := e.of(row, prompts.StyleCoT)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range shots {
		texts = append(texts, s.Question.Question)
	}
	return texts
}

func TestShotsAreChosenBySeedAlone(t *testing.T) {
	var rows []schema.Problem
	for i := range 60 {
		rows = append(rows, schema.Problem{ID: fmt.Sprint("r", i), Task: []string{"gsm8k", "math"}[i%2], Question: fmt.Sprintf("What is %d?", i/2*2), GoldAnswer: fmt.Sprint(i)})
	}
	other := schema.Problem{ID: "other", Task: "gsm8k", Question: "Another?"}
	cfg := shotsConfig{N: 4, Seed: 1}
	want := chosen(t, cfg, rows, other)
	if len(want) != 4 {
		t.Fatalf("%q", want)
	}
	seeds := map[string]bool{}
	for i := range 20 {
		rand.New(rand.NewPCG(1, uint64(i))).Shuffle(len(rows), func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
		if got := chosen(t, cfg, rows, other); !slices.Equal(got, want) {
			t.Errorf("in another order: %q, want %q", got, want)
		}
		seeds[fmt.Sprint(chosen(t, shotsConfig{N: 4, Seed: int64(i)}, rows, other))] = true
	}
	if len(seeds) < 15 {
		t.Errorf("20 seeds choose %d sets", len(seeds))
	}
	// More examples begin with the fewer, and a row that is one of them makes place for the
	// next, whichever of its marks tells.
	more := chosen(t, shotsConfig{N: 6, Seed: 1}, rows, other)
	if !slices.Equal(more[:4], want) {
		t.Errorf("%q does not begin with %q", more, want)
	}
	first := rows[slices.IndexFunc(rows, func(r schema.Problem) bool { return r.Task == "gsm8k" && r.Question == want[0] })]
	second := rows[slices.IndexFunc(rows, func(r schema.Problem) bool { return r.Task == "gsm8k" && r.Question == want[1] })]
	for name, c := range map[string]struct {
		row  schema.Problem
		want []string
	}{
		"by id":       {schema.Problem{ID: first.ID, Task: "gsm8k", Question: "Another?"}, more[1:5]},
		"by question": {schema.Problem{ID: "x", Task: "gsm8k", Question: " what is\n" + strings.TrimPrefix(first.Question, "What is ")}, more[1:5]},
		"by both":     {schema.Problem{ID: first.ID, Task: "gsm8k", Question: second.Question}, more[2:6]},
		"no id":       {schema.Problem{Task: "gsm8k", Question: "Another?"}, want},
	} {
		if got := chosen(t, cfg, rows, c.row); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestShotsAreUsable(t *testing.T) {
	no := false
	path := func(change func(*schema.Path)) schema.Path {
		p := schema.Path{Style: "plain", Response: "R", FinishReason: "stop"}
		change(&p)
		return p
	}
	for name, p := range map[string]schema.Path{
		"wrong":     path(func(p *schema.Path) { p.Correct = &no }),
		"judged":    path(func(p *schema.Path) { p.Judge = &schema.Judge{} }),
		"cut off":   path(func(p *schema.Path) { p.FinishReason = "length" }),
		"refused":   path(func(p *schema.Path) { p.FinishReason = "content_filter" }),
		"failed":    path(func(p *schema.Path) { p.Error = "refused" }),
		"empty":     path(func(p *schema.Path) { p.Response = " \n" }),
		"not asked": {Style: "cot", Prompt: "p"},
	} {
		if list := usable([]schema.Path{p}); len(list) > 0 {
			t.Errorf("a path that is %s is shown", name)
		}
	}
	x := example{row: schema.Problem{GoldAnswer: "7", Paths: []schema.Path{path(func(*schema.Path) {}), path(func(p *schema.Path) { p.Style, p.Response = "cot", "C" })}}}
	for style, want := range map[string]string{"cot": "C", "plain": "R", "tree": "R"} {
		if got := x.answer(style); got != want {
			t.Errorf("%s: %q, want %q", style, got, want)
		}
	}
	x.row.Paths = nil
	if got := x.answer("cot"); got != `\boxed{7}` {
		t.Error(got)
	}
}
