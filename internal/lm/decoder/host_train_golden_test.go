package decoder_test

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
)

// For each family's checkpoint all gradients equal the graph's.
func TestHostTrainsCheckpoints(t *testing.T) {
	dev := devices(t)[0]
	for _, name := range families(t) {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			n := len(g.ids)
			labels, w, lengths := make([]int32, n), make([]float32, n), make([]int, g.rows)
			for i := range labels {
				labels[i], w[i] = g.ids[(i+1)%n], float32(1+i%3)
			}
			for i := range lengths {
				lengths[i] = g.seq
			}
			e, err := NewExec(dev.Backend, func(in []*Node) []*Node {
				k := len(g.params)
				m := &decoder.Model{Config: g.config, Params: in[:k]}
				total, _ := m.Loss(m.Logits(m.Hidden(in[k])), in[k+1], in[k+2])
				return append([]*Node{total}, Gradient(total, m.Params...)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			want, err := e.Call(append(g.params.Args(nil), tensors.FromFlatDataAndDimensions(g.ids, g.rows, g.seq), labels, w)...)
			if err != nil {
				t.Fatal(err)
			}
			h, err := decoder.NewHostTrainer(g.config, g.params, decoder.HostTrainOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Stop()
			hidden, err := h.Forward(decoder.HostPass{IDs: g.ids, Lengths: lengths, Training: true})
			if err != nil {
				t.Fatal(err)
			}
			if d := furthest(hidden, g.hidden); d > tolerance {
				t.Errorf("hidden states differ from those of transformers by %.3g", d)
			}
			var grads [][]float32
			for _, p := range g.params {
				grads = append(grads, make([]float32, len(p.Data)))
			}
			total, err := h.TokenLoss(nil, labels, w, grads)
			if err != nil {
				t.Fatal(err)
			}
			h.Backward(grads)
			if loss := float64(tensors.ToScalar[float32](want[0])); math.Abs(total-loss) > 1e-5*loss {
				t.Errorf("loss %v, the graph's %v", total, loss)
			}
			for i, p := range g.params {
				x := tensors.MustCopyFlatData[float32](want[i+1])
				// The hidden states of both are 1e-6 from those of transformers, and gradients
				// of these weights magnify that tenfold.
				if d := furthest(grads[i], x) / furthest(x, make([]float32, len(x))); !(d < 2e-5) {
					t.Errorf("%s differs by %.2g", p.Name, d)
				}
			}
		})
	}
}
