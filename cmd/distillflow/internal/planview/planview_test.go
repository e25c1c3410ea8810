package planview

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/plan"
)

// sample has a branch, a join, an edge over several layers, a source that is
// read late, and text that every format has to escape.
func sample() []Stage {
	return []Stage{
		{Name: "problems", Uses: "scan", Status: plan.Hit, Reason: "cached"},
		{Name: "prompts", Uses: "wrap-cot", Status: plan.Hit, Reason: "cached", From: []Edge{{Stage: 0}}},
		{Name: "replies", Uses: "batch-llm", Status: plan.Run, Reason: `simulated.accuracy {"cot":0.9} -> {"cot":0}; seed 1 -> 2`, Takes: "2 rows, 4 requests, 300 to 900 tokens, 0.0001 to 0.0005 USD", From: []Edge{{Stage: 1}}},
		{Name: "graded", Uses: "verify-math", Status: plan.Wait, Reason: "waits for replies", From: []Edge{{Stage: 2}}},
		{Name: "teacher", Uses: "accuracy", Status: plan.Wait, Reason: "waits for graded", From: []Edge{{Stage: 3}}},
		{Name: `train[seed=1,task="a<b"]`, Uses: "train-moe", Status: plan.Wait, Reason: "waits for graded", From: []Edge{{Stage: 3, Port: "correct"}}},
		{Name: "tests", Uses: "scan", Status: plan.Hit, Reason: "cached"},
		{Name: "scores", Uses: "evaluate-students", Status: plan.Wait, Reason: "waits for train", From: []Edge{{Stage: 5}, {Stage: 6}, {Stage: 0, Port: "quarantine"}}},
		{Name: "plots_ü", Uses: "posrate", Status: plan.Skip, Reason: "when: params.n > 1 && true is false", From: []Edge{{Stage: 5, Port: "router_log"}, {Stage: 5}}},
	}
}

var writers = map[string]func(io.Writer, string, []Stage) error{
	"tree":    func(w io.Writer, _ string, s []Stage) error { return Tree(w, s) },
	"dot":     DOT,
	"mermaid": Mermaid,
	"svg":     SVG,
}

func TestGolden(t *testing.T) {
	for format, write := range writers {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			if err := write(&out, `gsm8k "quoted" & more`, sample()); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "sample."+format)
			if os.Getenv("DISTILLFLOW_UPDATE") != "" {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("%s (-golden +got):\n%s", golden, diff)
			}
		})
	}
}

// random is a graph whose stages read from earlier ones.
func random(r *rand.Rand, n int) []Stage {
	stages := make([]Stage, n)
	for i := range stages {
		stages[i] = Stage{Name: fmt.Sprintf("s%d%s", i, strings.Repeat("x", r.IntN(12))), Uses: "type", Status: statuses[r.IntN(len(statuses))], Reason: "because"}
		for range r.IntN(4) {
			if i > 0 {
				stages[i].From = append(stages[i].From, Edge{Stage: max(0, i-1-r.IntN(8))})
			}
		}
	}
	return stages
}

func TestLayoutKeepsBoxesApartAndEdgesDownward(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		stages := random(r, 1+r.IntN(40))
		l, ok := newLayout(stages, boxWidth)
		if !ok {
			t.Fatal("a small graph was refused")
		}
		for _, layer := range l.layers {
			for n := 1; n < len(layer); n++ {
				a, b := l.items[layer[n-1]], l.items[layer[n]]
				if a.x+a.width/2+gapX > b.x-b.width/2+1e-6 {
					t.Fatalf("items of a layer are too close: %+v %+v", a, b)
				}
			}
		}
		for i, s := range stages {
			for _, p := range s.parents() {
				if l.items[p].layer >= l.items[i].layer {
					t.Fatalf("an edge does not lead down: %s -> %s", stages[p].Name, s.Name)
				}
			}
		}
		for _, it := range l.items {
			if it.x-it.width/2 < -1e-6 {
				t.Fatalf("an item lies outside on the left: %+v", it)
			}
		}
		for _, rt := range l.routes {
			for n := 1; n < len(rt.items); n++ {
				if l.items[rt.items[n]].layer != l.items[rt.items[n-1]].layer+1 {
					t.Fatal("an edge misses a layer")
				}
			}
		}
	}
}

// TestEveryStageIsShownOnce: each stage has its own line in the tree, however
// deep it lies, and its own box in the picture, which is well-formed XML.
func TestEveryStageIsShownOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		stages := random(r, 1+r.IntN(90))
		var tree, svg bytes.Buffer
		if err := Tree(&tree, stages); err != nil {
			t.Fatal(err)
		}
		if err := SVG(&svg, "t", stages); err != nil {
			t.Fatal(err)
		}
		for _, s := range stages {
			n := 0
			for line := range strings.Lines(tree.String()) {
				f := strings.Fields(strings.Trim(line, "\n"))
				for k, w := range f {
					if w == s.Name && k+1 < len(f) && f[k+1] == "type" {
						n++
					}
				}
			}
			if n != 1 {
				t.Fatalf("stage %s has %d lines in\n%s", s.Name, n, tree.String())
			}
			if n := strings.Count(svg.String(), ">"+cut(s.Name)+"</text>"); n != 1 {
				t.Fatalf("stage %s has %d boxes", s.Name, n)
			}
		}
		d := xml.NewDecoder(&svg)
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDeepChainStaysNarrow(t *testing.T) {
	stages := make([]Stage, 2000)
	for i := range stages {
		stages[i] = Stage{Name: fmt.Sprint("s", i), Uses: "u", Status: plan.Run}
		if i > 0 {
			stages[i].From = []Edge{{Stage: i - 1}}
		}
	}
	var b bytes.Buffer
	if err := Tree(&b, stages); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(line)); n > 3*maxDepth+60 {
			t.Fatalf("a line of %d characters", n)
		}
	}
}

func TestTooManyForAPicture(t *testing.T) {
	stages := make([]Stage, maxSize+1)
	if err := SVG(io.Discard, "", stages); err == nil || !strings.Contains(err.Error(), "--format dot") {
		t.Errorf("error %v, want advice", err)
	}
}

// Of a run the picture has the states, and leads on to the stages.
func TestRunStates(t *testing.T) {
	var b strings.Builder
	err := SVG(&b, "r", []Stage{
		{Name: "a", Status: "ran", Link: `#stage-"a"`},
		{Name: "b", Status: "failed", From: []Edge{{Stage: 0}}},
		{Name: "c", Status: "skipped", From: []Edge{{Stage: 1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 stages: 1 ran, 1 failed, 1 skipped", `<a href="#stage-&quot;a&quot;">`, `role="group"`, looks[failed].fill} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture lacks %s", want)
		}
	}
}
