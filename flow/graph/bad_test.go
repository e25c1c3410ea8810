package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
)

// TestManyMistakes: a large recipe in which every stage is wrong gets an error
// for each, the first ones with all the help there is. Help for each of them
// would look at every stage for every stage.
func TestManyMistakes(t *testing.T) {
	const n = 2_000
	for name, form := range map[string]string{
		"edge":    "  s%d: {uses: verify-math, from: okk, save: d%[1]d/}\n",
		"type":    "  s%d: {uses: verifymath}\n",
		"missing": "  s%d: {uses: verify-math}\n",
		"config":  "  s%d: {uses: train-moe, from: ok, with: {epoch: 1}}\n",
	} {
		var b strings.Builder
		b.WriteString("stages:\n  ok: {uses: scan, with: {root: .}}\n")
		for i := range n {
			fmt.Fprintf(&b, form, i)
		}
		r, diags := recipe.Parse("r.yaml", []byte(b.String()), recipe.Options{})
		if len(diags) > 0 {
			t.Fatal(name, diags[0])
		}
		g, diags := graph.Build(r, registry(t))
		if g != nil || len(diags) != n {
			t.Errorf("%s: %d errors, want %d", name, len(diags), n)
			continue
		}
		if d := diags[0]; d.Suggestion == "" && !strings.Contains(d.Help, "ok.problems") {
			t.Errorf("%s: no help: %v", name, d)
		}
	}
}

// TestLongChain: a chain of stages as long as a recipe may be, written backwards,
// is put in order.
func TestLongChain(t *testing.T) {
	const n = 2_000
	var b strings.Builder
	b.WriteString("stages:\n")
	for i := n; i > 0; i-- {
		fmt.Fprintf(&b, "  s%d: {uses: verify-math, from: s%d}\n", i, i-1)
	}
	b.WriteString("  s0: {uses: scan, with: {root: .}}\n")
	r, diags := recipe.Parse("r.yaml", []byte(b.String()), recipe.Options{})
	g, more := graph.Build(r, registry(t))
	if g == nil {
		t.Fatal(append(diags, more...)[0])
	}
	for i, node := range g.Nodes {
		if want := fmt.Sprintf("s%d", i); node.Name != want {
			t.Fatalf("%s at %d", node.Name, i)
		}
	}
}

// TestManyLegs: a large matrix is no mistake.
func TestManyLegs(t *testing.T) {
	r, diags := recipe.Parse("r.yaml", matrices(2_000), recipe.Options{})
	g, more := graph.Build(r, registry(t))
	if diags.Add(more...); len(diags) > 0 || len(g.Nodes) != 2_000 {
		t.Fatal(diags)
	}
	if n := g.Node("m3[seed=17]"); n == nil || len(n.Deps()) != 1 || n.Deps()[0].Name != "m0[seed=17]" {
		t.Errorf("%+v", n)
	}
}
