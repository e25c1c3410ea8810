package train

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// What is cut off, refused, failed, known to be wrong or judged invalid is not learned
// from, whether a stage verified it or not.
func TestUsablePaths(t *testing.T) {
	yes, no := true, false
	good := schema.Path{Response: "The answer is 4.", FinishReason: "stop"}
	with := func(change func(*schema.Path)) schema.Path {
		p := good
		change(&p)
		return p
	}
	paths := map[string]schema.Path{
		"answered":      good,
		"imported":      with(func(p *schema.Path) { p.FinishReason = "" }),
		"right":         with(func(p *schema.Path) { p.Correct = &yes }),
		"valid":         with(func(p *schema.Path) { p.Judge = &schema.Judge{Valid: true} }),
		"cut":           with(func(p *schema.Path) { p.FinishReason = "length" }),
		"cut but right": with(func(p *schema.Path) { p.FinishReason, p.Correct = "length", &yes }),
		"refused":       with(func(p *schema.Path) { p.FinishReason = "content_filter" }),
		"failed":        with(func(p *schema.Path) { p.Error = "timeout" }),
		"failed early":  with(func(p *schema.Path) { p.FinishReason, p.Error = "", "timeout" }),
		"empty":         with(func(p *schema.Path) { p.Response = "" }),
		"wrong":         with(func(p *schema.Path) { p.Correct = &no }),
		"invalid":       with(func(p *schema.Path) { p.Judge = &schema.Judge{} }),
	}
	p := schema.Problem{ID: "p", Task: "gsm8k", Question: "2 + 2?", GoldAnswer: "4"}
	for style, path := range paths {
		path.Style = style
		p.Paths = append(p.Paths, path)
	}
	in := writeRows(t, filepath.Join(t.TempDir(), "paths.jsonl"), []schema.Problem{p, {ID: "q", Task: "gsm8k", Paths: []schema.Path{paths["refused"]}}})
	got, ids, err := readPaths(stage.RowsFrom[schema.Problem](in.Path, in.Label), use{quality: Quality{true, true}, target: Target{StudentTarget: targetResponse}})
	if err != nil {
		t.Fatal(err)
	}
	var styles []string
	for _, x := range got {
		styles = append(styles, x.style)
	}
	slices.Sort(styles)
	if want := []string{"answered", "imported", "right", "valid"}; !slices.Equal(styles, want) || !slices.Equal(ids, []string{"p"}) {
		t.Errorf("learns from %q of problems %q, want %q of p", styles, ids, want)
	}
}
