package train

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// Sequences that share rows do not overlap, none crosses a row's end, and there are fewer
// rows where two fit into one.
func TestPackRows(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		lengths, seq := make([]int, 1+r.IntN(20)), 1+r.IntN(30)
		for i := range lengths {
			lengths[i] = 1 + r.IntN(seq)
		}
		places, rows := packRows(lengths, seq)
		taken, all := make([]bool, rows*seq), 0
		for i, at := range places {
			if at%seq+lengths[i] > seq {
				t.Fatalf("%v in rows of %d: %d crosses a row's end: %v", lengths, seq, i, places)
			}
			for k := range lengths[i] {
				if taken[at+k] {
					t.Fatalf("%v in rows of %d: %d overlaps: %v", lengths, seq, i, places)
				}
				taken[at+k] = true
			}
			all += lengths[i]
		}
		// First fit leaves at most one row less than half full.
		if rows > 1 && (rows-1)*seq > 2*all {
			t.Errorf("%v in rows of %d: %d rows", lengths, seq, rows)
		}
	}
	if places, rows := packRows([]int{2, 5, 3}, 5); rows != 2 || !slices.Equal(places, []int{8, 0, 5}) {
		t.Errorf("places %v in %d rows", places, rows)
	}
}

// Large models share rows, where attention costs little; small ones and long rows do not.
func TestSharingPays(t *testing.T) {
	big := decoder.Config{Dim: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336}
	small := decoder.Config{Dim: 64, Layers: 2, Heads: 2, KVHeads: 2, HeadDim: 32, FFN: 128}
	for _, x := range []struct {
		config decoder.Config
		half   int
		want   bool
	}{{big, 384, true}, {big, 8192, false}, {small, 400, false}} {
		if s := (&student{config: x.config, half: x.half}); s.sharingPays() != x.want {
			t.Errorf("%d wide, rows of %d: %v", x.config.Dim, 2*x.half, !x.want)
		}
	}
}

// On XLA, where paths share rows, students have the losses, the states in the common space
// and the gradients that they have on the CPU, in fewer tokens than a row for each path
// takes. It needs a plugin: PJRT_PLUGIN_LIBRARY_PATH.
func TestSharedRowsLearnTheSame(t *testing.T) {
	xla, err := device.Open(device.XLA)
	if err != nil {
		t.Skip(err)
	}
	cfg := mixedConfig(t)
	cfg.Students[0].LoRA.Dropout = 0 // which is by the position in a pass
	paths := testPaths(t, 6)
	for i := range paths {
		paths[i].question, paths[i].prompt = "?", "?\n"
	}
	long := &paths[0].response // beside which others fit into a row
	*long = strings.Repeat(*long+" ", 4)
	type result struct {
		nll   []float64
		z     []float32
		grads [][]float32
	}
	var of [2][]result
	for i, open := range []func(string) (*device.Device, error){openCPU, func(string) (*device.Device, error) { return xla, nil }} {
		tr, _, err := newTrainer(t.Context(), cfg.plan(), 1, open, paths)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		for _, st := range tr.students {
			if st.shares {
				t.Errorf("student %s is too small to share rows of %d", st.name, 2*st.half)
			}
			st.shares = i == 1
		}
		rows := []int{0, 3, 1, 5, 2, 4}
		r := &routed{paths: rows}
		if err := tr.decide(r, 0, tr.encodings(r.paths)); err != nil {
			t.Fatal(err)
		}
		if err := tr.forwardAll(r); err != nil {
			t.Fatal(err)
		}
		for s, st := range tr.students {
			var x result
			if x.nll, x.z, err = st.forward(rows, 6, tr.per); err != nil {
				t.Fatal(err)
			}
			b, _, err := st.batches(trainInput{paths: rows, most: 6, ensemble: tr.ensemble(r, s, []int{0, 1, 2, 3, 4, 5})})
			if err != nil {
				t.Fatal(err)
			}
			res, err := st.tuner.Gradients(b...)
			if err != nil {
				t.Fatal(err)
			}
			x.grads = res.Grads
			of[i] = append(of[i], x)
			if i == 1 && b[0].Rows >= len(rows) {
				t.Errorf("student %s: %d rows for %d paths", st.name, b[0].Rows, len(rows))
			}
		}
	}
	for s, want := range of[0] {
		got := of[1][s]
		for i, v := range want.nll {
			if d := got.nll[i] - v; d > 1e-3*v || -d > 1e-3*v {
				t.Errorf("student %d: the loss of path %d is %v, on the CPU %v", s, i, got.nll[i], v)
			}
		}
		near := func(what string, got, want []float32) {
			t.Helper()
			if len(got) != len(want) {
				t.Fatalf("student %d: %s: %d numbers, on the CPU %d", s, what, len(got), len(want))
			}
			var off, size float64
			for i, v := range want {
				off, size = off+float64((got[i]-v)*(got[i]-v)), size+float64(v*v)
			}
			if off > 1e-7*size {
				t.Errorf("student %d: %s is off by %.2g of its size, squared", s, what, off/size)
			}
		}
		near("z", got.z, want.z)
		for i := range want.grads {
			near("a gradient", got.grads[i], want.grads[i])
		}
	}
}
