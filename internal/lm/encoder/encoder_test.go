package encoder

import (
	"math"
	"slices"
	"testing"
)

func TestFrozenAndPooled(t *testing.T) {
	h, err := NewHashed(32, 5)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		"First, 4 + 3 = 7. Then 7 * 2 = 14.",
		"First, 9 + 1 = 10. Then 10 * 2 = 20.",
		"a = 4 + 3\nprint(a)",
		"",
	}
	v, err := h.Encode(texts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Encode([]string{texts[2]})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v[2], again[0]) {
		t.Error("a text's vector depends on its company")
	}
	dot := func(a, b []float32) (s float64) {
		for i := range a {
			s += float64(a[i]) * float64(b[i])
		}
		return s
	}
	for i := range 3 {
		if n := dot(v[i], v[i]); math.Abs(n-1) > 1e-5 {
			t.Errorf("text %d: length² %v", i, n)
		}
	}
	if dot(v[3], v[3]) != 0 {
		t.Error("the empty text is not zero")
	}
	if same, other := dot(v[0], v[1]), dot(v[0], v[2]); same < 0.95 || other > same-0.2 {
		t.Errorf("same style %v, other style %v: styles do not show", same, other)
	}
	if _, err := NewHashed(0, 1); err == nil {
		t.Error("width 0 accepted")
	}
}
