package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestEpochBatchesCoverEverything(t *testing.T) {
	lengths := make([]int, 101)
	for i := range lengths {
		lengths[i] = 10 + (i*37)%20
	}
	batches := epochBatches(lengths, 4, rand.New(rand.NewPCG(1, 1)))
	if len(batches) != batchesPerEpoch(101, 4) {
		t.Errorf("%d batches, want %d", len(batches), batchesPerEpoch(101, 4))
	}
	all := slices.Concat(batches...)
	slices.Sort(all)
	for i, v := range all {
		if v != i {
			t.Fatalf("path %d is missing or comes twice", i)
		}
	}
	spread := 0
	for _, b := range batches[:8] {
		lo, hi := math.MaxInt, 0
		for _, i := range b {
			lo, hi = min(lo, lengths[i]), max(hi, lengths[i])
		}
		spread += hi - lo
	}
	if spread > 8*8 {
		t.Errorf("batches of a window span %d lengths on average, want like lengths together", spread/8)
	}
}

// A step's batch depends on the step alone, not on the steps before it.
func TestOrderIsRandomAccess(t *testing.T) {
	lengths := make([]int, 50)
	a := order{seed: 3, stream: "x", lengths: lengths, batch: 8}
	var want [][]int
	for s := range 20 {
		b, epoch := a.at(s)
		if epoch != s/7 {
			t.Fatalf("step %d: epoch %d", s, epoch)
		}
		want = append(want, slices.Clone(b))
	}
	b := order{seed: 3, stream: "x", lengths: lengths, batch: 8}
	for _, s := range []int{13, 2, 19, 0} {
		if got, _ := b.at(s); !slices.Equal(got, want[s]) {
			t.Errorf("step %d: %v, want %v", s, got, want[s])
		}
	}
	if slices.Equal(want[0], want[7]) {
		t.Error("two epochs have the same order")
	}
}
