package data

import (
	"bytes"
	"math"
	"testing"
)

// Values in the order in which sort puts them; those of one line are equal.
func TestSortableBytes(t *testing.T) {
	lines := [][]any{
		{nil}, {false}, {true},
		{math.Inf(-1)}, {-1e300}, {math.MinInt64, float64(math.MinInt64)}, {math.MinInt64 + 1}, {-2, -2.0}, {-1.5}, {-1}, {-0.25},
		{0, 0.0, math.Copysign(0, -1)}, {5e-324}, {0.5}, {1, 1.0}, {1.5}, {2}, {1 << 53, float64(1 << 53)}, {1<<53 + 1}, {math.MaxInt64 - 1}, {math.MaxInt64}, {1e300}, {math.Inf(1)},
		{""}, {"\x00"}, {"\x00\x00"}, {"\x00a"}, {"\x01"}, {"a"}, {"a\x00"}, {"a\x00b"}, {"aa"}, {"b"}, {"\xff"},
	}
	for i, x := range lines {
		for j, y := range lines {
			want := min(max(i-j, -1), 1)
			for _, v := range x {
				for _, w := range y {
					a, b := appendSortable(nil, v), appendSortable(nil, w)
					if got := bytes.Compare(a, b); got != want {
						t.Errorf("%v and %v: %d, want %d", v, w, got, want)
					}
					if i != j && bytes.HasPrefix(a, b) {
						t.Errorf("the bytes of %v begin with those of %v", v, w)
					}
				}
			}
		}
	}
	for _, v := range []any{math.NaN(), []any{1}, map[string]any{}} {
		if b := appendSortable(nil, v); len(b) > 0 {
			t.Errorf("%v has an order: %x", v, b)
		}
	}
}
