package analyze

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/schema"
)

func sampleReport() Report {
	var rates []schema.Rate
	t := newTally()
	for i, student := range []string{"wide", "deep", "wide", "wide", "deep", "deep", "wide", "deep"} {
		style := []string{"cot", "code"}[i%2]
		if err := t.add(schema.RouterDecision{Epoch: 1 + i/4, Step: i + 1, ID: "p", Style: style, Student: student}); err != nil {
			panic(err)
		}
	}
	rates = t.rates()
	return Report{
		Routers: []schema.RouterScore{
			{Router: "learned", Runs: 5, Cells: 4, Decisions: 200, Balanced: .85, Low: .8, High: .9, Accuracy: .84},
		},
		Scores: []schema.Score{
			{System: "majority", Kind: "baseline", Task: "gsm8k", Count: 200, Correct: 18, Accuracy: .09, Low: .0577, High: .1379},
			{System: "wide", Kind: "untrained", Task: "gsm8k", Count: 200, Accuracy: 0, Low: 0, High: .0188},
			{System: "ensemble", Kind: "ensemble", Task: "gsm8k", Count: 200, Correct: 140, Accuracy: .7, Low: .6332, High: .7593, Note: "log-probability per byte"},
			{System: "wide", Kind: "trained", Task: "gsm8k", Count: 200, Correct: 130, Accuracy: .65, Low: .5816, High: .7127, Unanswered: 3},
		},
		Comparisons: []schema.Comparison{
			{Task: "gsm8k", A: "wide", AKind: "trained", B: "ensemble", BKind: "ensemble", Count: 200, OnlyA: 2, OnlyB: 12, Difference: -.05, P: .0129},
		},
		Rates: rates,
		Accuracy: []schema.Accuracy{
			{Task: "gsm8k", Style: "all", Provider: "simulated/teacher", Paths: 20, Answered: 20, Parsed: 19, Correct: 16, Accuracy: .8, Low: .584, High: .9193},
		},
	}
}

func TestRenderGolden(t *testing.T) {
	for _, c := range []struct {
		file     string
		markdown bool
	}{{"report.txt", false}, {"report.md", true}} {
		r := sampleReport()
		r.Markdown = c.markdown
		var b bytes.Buffer
		if err := Render(&b, r); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "render", c.file)
		if os.Getenv("DISTILLFLOW_UPDATE") != "" {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), b.String()); d != "" {
			t.Errorf("%s differs (-want +got); DISTILLFLOW_UPDATE=1 rewrites it:\n%s", c.file, d)
		}
	}
}

// Whatever is missing, the report prints the rest.
func TestRenderParts(t *testing.T) {
	full := sampleReport()
	for _, c := range []struct {
		name      string
		r         Report
		has, lack string
	}{
		{"empty", Report{}, "", "Students"},
		{"only rates", Report{Rates: full.Rates}, "per epoch", "Students"},
		{"short", Report{Rates: full.Rates, Short: true}, "every style", "per epoch"},
		{"of one leg", Report{Rates: full.Rates, Of: "rates[seed=1]"}, "paths (rates[seed=1])\n", "Students"},
		{"escapes", Report{Accuracy: []schema.Accuracy{{Task: "a\x1b[2Jb\n"}}}, "a [2Jb", "\x1b"},
		{"one epoch", Report{Rates: func() (out []schema.Rate) {
			for _, r := range full.Rates {
				if r.Epoch < 2 {
					out = append(out, r)
				}
			}
			return out
		}()}, "Routing", "per epoch"},
		{"no note", Report{Scores: full.Scores[:1]}, "majority", "note"},
	} {
		var b bytes.Buffer
		if err := Render(&b, c.r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), c.has) || strings.Contains(b.String(), c.lack) {
			t.Errorf("%s: want %q and not %q in:\n%s", c.name, c.has, c.lack, b.String())
		}
	}
}

func TestRenderManyEpochs(t *testing.T) {
	ta := newTally()
	for e := 1; e <= 50; e++ {
		if err := ta.add(schema.RouterDecision{Epoch: e, Style: "cot", Student: "wide"}); err != nil {
			t.Fatal(err)
		}
	}
	g := epochGrid(newRatesReport(ta.rates()))
	if len(g.head) != 2+maxEpochColumns || g.head[2] != "epoch 1" || g.head[len(g.head)-1] != "epoch 50" {
		t.Errorf("columns %q: want %d epochs from the first to the last", g.head, maxEpochColumns)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken pipe")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestRenderWriteError(t *testing.T) {
	if err := Render(brokenWriter{}, sampleReport()); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

// In every epoch the students share each style's decisions between them, and
// the epochs add up to the total.
func TestRatesAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		ta := newTally()
		n := 1 + rng.IntN(200)
		for range n {
			d := schema.RouterDecision{Epoch: 1 + rng.IntN(4), Style: string(rune('a' + rng.IntN(5))), Student: string(rune('x' + rng.IntN(3)))}
			if err := ta.add(d); err != nil {
				t.Fatal(err)
			}
		}
		type key struct {
			epoch int
			style string
		}
		shares := map[key]float64{}
		routed := map[bool]int{}
		for _, r := range ta.rates() {
			shares[key{r.Epoch, r.Style}] += r.Share
			routed[r.Epoch == 0] += r.Routed
		}
		for k, s := range shares {
			if math.Abs(s-1) > 1e-9 {
				t.Fatalf("the shares of style %s in epoch %d add up to %v", k.style, k.epoch, s)
			}
		}
		if routed[true] != n || routed[false] != n {
			t.Fatalf("%d decisions: the total counts %d, the epochs %d", n, routed[true], routed[false])
		}
	}
}
