package plan

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func TestEachVisitsAllOnce(t *testing.T) {
	for _, n := range []int{0, 1, chunk, chunk + 1, 10 * chunk} {
		indexes := make([]int, n)
		visits := make([]atomic.Int32, n)
		for i := range indexes {
			indexes[i] = n - 1 - i
		}
		if err := each(indexes, func(i int) error { visits[i].Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range visits {
			if got := visits[i].Load(); got != 1 {
				t.Errorf("%d: index %d was visited %d times", n, i, got)
			}
		}
	}
}

// Whichever goroutine is first, the error is that of the first index.
func TestEachGivesTheFirstError(t *testing.T) {
	indexes := make([]int, 20*chunk)
	for i := range indexes {
		indexes[i] = i
	}
	const bad = 3*chunk + 5
	for range 100 {
		err := each(indexes, func(i int) error {
			if i >= bad {
				return fmt.Errorf("index %d", i)
			}
			return nil
		})
		if want := fmt.Sprintf("index %d", bad); err == nil || err.Error() != want {
			t.Fatalf("error %v, want %s", err, want)
		}
	}
}
