package analyze

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/schema"
)

// Of a long curve stays what can be seen, in its order.
func TestEnvelope(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var at [][2]float64
	low, high := map[float64]float64{}, map[float64]float64{}
	for i := range 100_000 {
		q := [2]float64{float64(i) / 1000, r.Float64()}
		at = append(at, q)
		k := math.Floor(2 * q[0])
		if _, ok := low[k]; !ok {
			low[k], high[k] = q[1], q[1]
		}
		low[k], high[k] = min(low[k], q[1]), max(high[k], q[1])
	}
	got := envelope(at)
	if len(got) > 4*200 || got[0] != at[0] || got[len(got)-1] != at[len(at)-1] {
		t.Errorf("%d corners from %v to %v", len(got), got[0], got[len(got)-1])
	}
	if !slices.IsSortedFunc(got, func(a, b [2]float64) int { return int(math.Copysign(1, a[0]-b[0])) }) {
		t.Error("the corners are out of order")
	}
	for _, q := range got {
		k := math.Floor(2 * q[0])
		if q[1] == low[k] {
			delete(low, k)
		}
		if q[1] == high[k] {
			delete(high, k)
		}
	}
	if len(low) > 0 || len(high) > 0 {
		t.Errorf("%d lowest and %d highest corners are gone", len(low), len(high))
	}
	short := [][2]float64{{0, 1}, {0, 1}, {0.1, 2}, {3, 0}}
	if got := envelope(short); !slices.Equal(got, [][2]float64{{0, 1}, {0.1, 2}, {3, 0}}) {
		t.Errorf("a short curve became %v", got)
	}
}

// BenchmarkLongLoss draws the losses of 100,000 steps.
func BenchmarkLongLoss(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var metrics []schema.Metric
	for i := range 100_000 {
		metrics = append(metrics, schema.Metric{Step: i + 1, Student: "a", Name: "loss", Value: 1 + r.Float64()})
	}
	for b.Loop() {
		f, why := lossFigure(metrics)
		if why != "" {
			b.Fatal(why)
		}
		if _, err := f.encode(pngFormat); err != nil {
			b.Fatal(err)
		}
	}
}
