package nf4

import (
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/vector"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// On the host a quantised base counts as the numbers that it means: in training, which
// equals the graph's on these, and in generation.
func TestHostEqualsDequantized(t *testing.T) {
	for _, family := range []string{"llama", "gemma2"} {
		d, get, ids, _ := readCheckpoint(t, family)
		b, err := Load(d, get)
		if err != nil {
			t.Fatal(err)
		}
		var plain []decoder.HostParam
		for _, p := range b.Dequantized() {
			plain = append(plain, decoder.HostParam{F32: p.Data})
		}
		c, err := lora.Config{Rank: 2, Alpha: 4, Targets: []string{"*"}}.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		s, err := lora.Init(d, c, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(s); i += 2 {
			s[i] = weights.Normal(1, 0.1, s[i].Name, s[i].Dims...)
		}
		var want [][]float32
		for _, base := range [][]decoder.HostParam{plain, b.Host()} {
			h, err := decoder.NewHostTrainer(d, s, decoder.HostTrainOptions{Adapters: c.Host(), Base: base})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Stop()
			hidden, err := h.Forward(decoder.HostPass{IDs: ids[:9], Lengths: []int{4, 5}, Training: true})
			if err != nil {
				t.Fatal(err)
			}
			got := [][]float32{slices.Clone(hidden)}
			for _, x := range s {
				got = append(got, make([]float32, len(x.Data)))
			}
			if _, err := h.TokenLoss(nil, ids[1:10], slices.Repeat([]float32{1}, 9), got[1:]); err != nil {
				t.Fatal(err)
			}
			h.Backward(got[1:])

			host, err := decoder.NewHost(d, base)
			if err != nil {
				t.Fatal(err)
			}
			run := host.Start(2, nil)
			defer run.Stop()
			last := make([]float32, vector.Rows*d.Dim)
			if err := run.Feed([]*decoder.Sequence{{}}, [][]int32{ids[:9]}, last); err != nil {
				t.Fatal(err)
			}
			got = append(got, last)
			if want == nil {
				want = got
			}
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("%s: other numbers %d from the quantised base", family, i)
				}
			}
		}
	}
}

// Rows may begin inside of a block, and in any part of the whole.
func TestPackedRows(t *testing.T) {
	const cols = 37
	p := &Packed{Dims: []int{11, cols}}
	var want []float32
	for _, rows := range []int{4, 2, 5} {
		x := weights.Normal(1, 1, "part", rows, cols)
		q, err := Quantize("part", x.Dims, x.Data)
		if err != nil {
			t.Fatal(err)
		}
		p.Parts = append(p.Parts, q)
		want = append(want, q.Values(nil)...)
	}
	for from := range 11 {
		for to := from; to <= 11; to++ {
			got := make([]float32, (to-from)*cols)
			p.Rows(got, from, to)
			if !slices.Equal(got, want[from*cols:to*cols]) {
				t.Fatalf("other numbers in the rows %d to %d", from, to)
			}
		}
	}
}
