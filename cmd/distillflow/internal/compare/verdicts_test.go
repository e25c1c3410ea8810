package compare

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// given makes a source of verdicts, written as "id style right" with an optional replicate.
func given(lines ...string) *source {
	return &source{styles: true, rows: int64(len(lines)), all: func(yield func(verdict, error) bool) {
		for _, l := range lines {
			var v verdict
			right := ""
			if _, err := fmt.Sscan(l+" 0", &v.id, &v.group, &right, &v.replicate); err != nil {
				yield(v, err)
				return
			}
			v.Right, v.Pred, v.gold = right == "+", right, "+"
			if !yield(v, nil) {
				return
			}
		}
	}}
}

func TestPair(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b *source
		want []Test
		flip []string
	}{
		{"same", given("1 cot +", "2 cot -"), given("2 cot -", "1 cot +"),
			[]Test{{Group: "cot", Problems: 2, Records: 2, RightA: 1, RightB: 1, P: 1}}, nil},
		{"lost and gained", given("1 cot +", "2 cot -", "3 cot +"), given("1 cot -", "2 cot +", "3 cot +"),
			[]Test{{Group: "cot", Problems: 3, Records: 3, RightA: 2, RightB: 2, Lost: 1, Gained: 1, P: 1}}, []string{"lost cot 1 + -", "gained cot 2 - +"}},
		{"A is smaller", given("1 cot +"), given("0 cot +", "1 cot -", "2 plain +"),
			[]Test{{Group: "cot", Problems: 1, Records: 1, RightA: 1, Lost: 1, Difference: -1, P: 1, OnlyB: 1}, {Group: "plain", P: 1, OnlyB: 1}}, []string{"lost cot 1 + -"}},
		{"B is smaller", given("0 cot +", "1 cot -", "2 plain +"), given("1 cot +"),
			[]Test{{Group: "cot", Problems: 1, Records: 1, RightB: 1, Gained: 1, Difference: 1, P: 1, OnlyA: 1}, {Group: "plain", P: 1, OnlyA: 1}}, []string{"gained cot 1 - +"}},
		// Both styles of problem 1 are lost: one problem, not two.
		{"problems", given("1 cot +", "1 plain +", "2 cot -", "2 plain +"), given("1 cot -", "2 cot -", "1 plain -", "2 plain +"),
			[]Test{
				{Problems: 2, Records: 4, RightA: 3, RightB: 1, Lost: 2, Difference: -0.5, P: 1},
				{Group: "cot", Problems: 2, Records: 2, RightA: 1, Lost: 1, Difference: -0.5, P: 1},
				{Group: "plain", Problems: 2, Records: 2, RightA: 2, RightB: 1, Lost: 1, Difference: -0.5, P: 1},
			}, []string{"lost cot 1 + -", "lost plain 1 + -"}},
		{"replicates", given("1 cot +", "1 cot + 1", "1 cot + 2"), given("1 cot - 2", "1 cot +", "1 cot + 3"),
			[]Test{{Group: "cot", Problems: 1, Records: 2, RightA: 2, RightB: 1, Lost: 1, Difference: -0.5, P: 1, OnlyA: 1, OnlyB: 1}}, []string{"lost cot 1 + -"}},
		{"a record twice", given("1 cot +"), given("1 cot -", "1 cot -"),
			[]Test{{Group: "cot", Problems: 1, Records: 1, RightA: 1, Lost: 1, Difference: -1, P: 1, OnlyB: 1}}, []string{"lost cot 1 + -"}},
		{"nothing", given(), given("1 cot +"), []Test{{Group: "cot", P: 1, OnlyB: 1}}, nil},
	} {
		p, err := pair(c.a, c.b, 10)
		if err != nil {
			t.Fatal(err)
		}
		got := p.tests()
		if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Test{}, "Low", "High")); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		for _, x := range got {
			if !(x.Low <= x.Difference && x.Difference <= x.High && x.Low >= -1 && x.High <= 1) {
				t.Errorf("%s: %v is not within %v to %v", c.name, x.Difference, x.Low, x.High)
			}
		}
		var flips []string
		for _, f := range p.flips {
			flips = append(flips, fmt.Sprintf("%s %s %s %s %s", map[bool]string{true: "gained", false: "lost"}[f.Gained], f.Group, f.ID, f.A.Pred, f.B.Pred))
		}
		if d := cmp.Diff(c.flip, flips); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestPairOfManyAndBroken(t *testing.T) {
	var a, b []string
	for i := range 100 {
		a, b = append(a, fmt.Sprintf("%03d cot +", i)), append(b, fmt.Sprintf("%03d cot %c", i, "-+"[i%2]))
	}
	p, err := pair(given(a...), given(b...), 3)
	if err != nil {
		t.Fatal(err)
	}
	if x := p.tests()[0]; x.Lost != 50 || len(p.flips) != 3 || x.P > 1e-14 {
		t.Errorf("%+v with %d flips", x, len(p.flips))
	}
	broken := &source{rows: 9, all: func(yield func(verdict, error) bool) { yield(verdict{}, errors.New("torn")) }}
	for _, s := range [][2]*source{{given("1 cot +"), broken}, {broken, given(append(a, b...)...)}} {
		if _, err := pair(s[0], s[1], 3); err == nil || err.Error() != "torn" {
			t.Errorf("error %v", err)
		}
	}
	long := func(right string) *source {
		return &source{rows: 1, all: iter.Seq2[verdict, error](func(yield func(verdict, error) bool) {
			yield(verdict{key: key{id: "1"}, Verdict: Verdict{Right: right == "+", Pred: strings.Repeat("é", 1000), Reason: strings.Repeat("x", 1000)}}, nil)
		})}
	}
	p, err = pair(long("+"), long("-"), 3)
	if err != nil || len([]rune(p.flips[0].A.Pred)) != maxText || len([]rune(p.flips[0].B.Reason)) != maxText {
		t.Errorf("%+v, %v", p.flips, err)
	}
}

// The interval is that of Agresti and Min where problems have one record each, by their
// formula: half a record is added to each of the four cells.
func TestIntervalOfDifference(t *testing.T) {
	for _, c := range []struct{ both, lost, gained, none int }{{794, 86, 150, 570}, {10, 0, 3, 7}, {5, 0, 0, 5}} {
		var x tally
		for outcome, n := range map[[2]bool]int{{true, true}: c.both, {true, false}: c.lost, {false, true}: c.gained, {false, false}: c.none} {
			for range n {
				x.add(sum{x.count(outcome[0], outcome[1]), 1})
			}
		}
		got := x.test("")
		n, l, g := float64(c.both+c.lost+c.gained+c.none)+2, float64(c.lost)+0.5, float64(c.gained)+0.5
		d := (g - l) / n
		half := 1.959964 * math.Sqrt((l+g)-(g-l)*(g-l)/n) / n
		if math.Abs(got.Low-(d-half)) > 1e-6 || math.Abs(got.High-(d+half)) > 1e-6 {
			t.Errorf("%+v: [%v, %v], want [%v, %v]", c, got.Low, got.High, d-half, d+half)
		}
	}
}

// With problems as clusters the interval of all styles together holds the difference in
// close to 95 % of all samples though styles of one problem go together.
func TestCoverageOfClusters(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const times, problems, styles = 2000, 40, 6
	held, significant := 0, 0
	for range times {
		var x tally
		for range problems {
			up, net := r.Float64(), 0 // how B does on this problem, the same for all styles
			for range styles {
				net += x.count(r.Float64() < 0.5, r.Float64() < up)
			}
			x.add(sum{net, styles})
		}
		got := x.test("")
		if got.Low <= 0 && 0 <= got.High {
			held++
		}
		if got.P < 0.05 {
			significant++
		}
	}
	if share := float64(held) / times; share < 0.925 || share > 0.975 {
		t.Errorf("the interval holds the difference in %.1f %%", 100*share)
	}
	if share := float64(significant) / times; share > 0.05 {
		t.Errorf("the test finds a difference in %.1f %%", 100*share)
	}
}

func TestName(t *testing.T) {
	if got := []string{name(0), name(25), name(26)}; !slices.Equal(got, []string{"A", "Z", "R27"}) {
		t.Error(got)
	}
}
