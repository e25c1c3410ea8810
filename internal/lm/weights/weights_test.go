package weights

import (
	"math"
	"slices"
	"testing"
)

func TestNormal(t *testing.T) {
	a := Normal(1, 0.5, "a", 100, 100)
	var sum, sq float64
	for _, v := range a.Data {
		sum += float64(v)
		sq += float64(v) * float64(v)
	}
	if m := sum / 1e4; math.Abs(m) > 0.02 {
		t.Errorf("mean %v", m)
	}
	if s := math.Sqrt(sq / 1e4); math.Abs(s-0.5) > 0.02 {
		t.Errorf("standard deviation %v, want 0.5", s)
	}
	if b := Normal(1, 0.5, "a", 100, 100); !slices.Equal(a.Data, b.Data) {
		t.Error("the same seed and name gave other numbers")
	}
	if b := Normal(1, 0.5, "b", 100, 100); slices.Equal(a.Data, b.Data) {
		t.Error("another name gave the same numbers")
	}
	if b := Normal(2, 0.5, "a", 100, 100); slices.Equal(a.Data, b.Data) {
		t.Error("another seed gave the same numbers")
	}
}

func TestSet(t *testing.T) {
	s := Set{Normal(1, 1, "x", 2, 3), Const(1, "y", 4)}
	c := s.Clone()
	if c.Hash() != s.Hash() || s.Count() != 10 || s.Find("y") != 1 || s.Find("z") != -1 {
		t.Error("clone, count or find is wrong")
	}
	c[0].Data[2]++
	if c.Hash() == s.Hash() {
		t.Error("the clone shares memory, or the hash misses a change")
	}
	if err := s.SameShapes(s.ZerosLike()); err != nil {
		t.Error(err)
	}
	for name, o := range map[string]Set{
		"count": s[:1],
		"name":  {s[0], Const(1, "q", 4)},
		"shape": {s[0], Const(1, "y", 2, 2)},
	} {
		if s.SameShapes(o) == nil {
			t.Errorf("another %s passes as the same", name)
		}
	}
	if s.FirstNonFinite() != "" {
		t.Error("finite numbers are called infinite")
	}
	for _, bad := range []float64{math.NaN(), math.Inf(-1)} {
		s[1].Data[3] = float32(bad)
		if s.FirstNonFinite() != "y" {
			t.Errorf("%v was not found", bad)
		}
	}
}
