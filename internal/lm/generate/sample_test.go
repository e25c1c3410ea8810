package generate

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
)

// Draws follow the probabilities that temperature, top-k and top-p leave.
func TestDrawFrequencies(t *testing.T) {
	p := []float64{0.5, 0.05, 0.25, 0.2}
	logp := make([]float32, len(p))
	for i, v := range p {
		logp[i] = float32(math.Log(v))
	}
	norm := func(w ...float64) []float64 {
		var sum float64
		for _, v := range w {
			sum += v
		}
		for i := range w {
			w[i] /= sum
		}
		return w
	}
	for name, c := range map[string]struct {
		o    Options
		want []float64
	}{
		"plain":       {Options{Temperature: 1}, p},
		"cold":        {Options{Temperature: 0.5}, norm(0.25, 0.0025, 0.0625, 0.04)},
		"top-k":       {Options{Temperature: 1, TopK: 2}, norm(0.5, 0, 0.25, 0)},
		"top-p":       {Options{Temperature: 1, TopP: 0.7}, norm(0.5, 0, 0.25, 0)},
		"top-p exact": {Options{Temperature: 1, TopP: 0.4}, norm(1, 0, 0, 0)},
		"both":        {Options{Temperature: 1, TopK: 3, TopP: 0.99}, norm(0.5, 0, 0.25, 0.2)},
	} {
		const n = 40000
		got := make([]float64, len(p))
		s := newSampler(c.o, 0)
		for range n {
			got[s.draw(logp)] += 1.0 / n
		}
		for i := range p {
			// Five standard deviations of a binomial share.
			if math.Abs(got[i]-c.want[i]) > 5*math.Sqrt(c.want[i]*(1-c.want[i])/n)+1e-9 {
				t.Errorf("%s: token %d drawn with %.4f, want %.4f", name, i, got[i], c.want[i])
			}
		}
	}
}

func TestDrawSurvivesNonFinite(t *testing.T) {
	s := newSampler(Options{Temperature: 1}, 0)
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	if got := s.draw([]float32{inf, nan, 0, inf}); got != 2 {
		t.Errorf("drew %d, only 2 is possible", got)
	}
}

// A row's draws depend on the seed and its place, not on how rows are batched.
func TestSamplingRepeats(t *testing.T) {
	dev, m := model(t, decoder.Llama, 3)
	m.Ends = nil
	prompts := [][]int32{{1, 4}, {1, 5, 6, 7}, {1, 8}, {1, 4}}
	run := func(seed uint64, batch int) []Output {
		out, err := Run(context.Background(), dev, m, prompts, Options{MaxNew: 10, Batch: batch, Temperature: 1.5, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	a, b, c := run(1, 4), run(1, 2), run(2, 4)
	same := true
	for i := range a {
		if !slices.Equal(a[i].IDs, b[i].IDs) {
			t.Errorf("row %d: %v in batches of 4, %v in batches of 2", i, a[i].IDs, b[i].IDs)
		}
		same = same && slices.Equal(a[i].IDs, c[i].IDs)
	}
	if same {
		t.Error("another seed drew the same")
	}
	if slices.Equal(a[0].IDs, a[3].IDs) {
		t.Error("two rows with one prompt drew the same")
	}
}

func TestStopStrings(t *testing.T) {
	dev, m := model(t, decoder.Llama, 3)
	m.Ends = nil
	decode := func(ids []int32) string {
		var b []byte
		for _, id := range ids {
			b = append(b, 'a'+byte(id))
		}
		return string(b)
	}
	free, err := Run(context.Background(), dev, m, [][]int32{{1, 4}}, Options{MaxNew: 12})
	if err != nil {
		t.Fatal(err)
	}
	text := decode(free[0].IDs)
	stop := text[3:5]
	at := 0 // where the stop string is first complete
	for i := range text {
		if i >= 1 && text[i-1:i+1] == stop {
			at = i + 1
			break
		}
	}
	got, err := Run(context.Background(), dev, m, [][]int32{{1, 4}}, Options{MaxNew: 12, Stop: []string{"zz", stop}, Decode: decode})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Stopped != stop || decode(got[0].IDs) != text[:at] || got[0].Ended {
		t.Errorf("stopped by %q after %q, want %q after %q", got[0].Stopped, decode(got[0].IDs), stop, text[:at])
	}
	if _, err := Run(context.Background(), dev, m, [][]int32{{1}}, Options{MaxNew: 1, Stop: []string{"a"}}); err == nil {
		t.Error("stop strings without a decoder")
	}
	for _, o := range []Options{{MaxNew: 1, Temperature: -1}, {MaxNew: 1, TopP: 2}, {MaxNew: 1, TopK: -1}, {MaxNew: 1, Temperature: math.NaN()}} {
		if _, err := Run(context.Background(), dev, m, [][]int32{{1}}, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
