package nf4

import "github.com/distillflow/distillflow/internal/lm/decoder"

// Host is the parameters for a decoder without a graph, which share b's memory: b must not
// [Base.Forget] them.
func (b *Base) Host() []decoder.HostParam {
	out := make([]decoder.HostParam, len(b.params))
	for i, p := range b.params {
		if p.packed != nil {
			out[i].Packed = p.packed
		} else {
			out[i].F32 = p.plain.Data
		}
	}
	return out
}

// Rows writes the dequantised rows from, to of the whole to dst.
func (p *Packed) Rows(dst []float32, from, to int) {
	cols := p.Dims[1]
	for _, t := range p.Parts {
		n := t.Dims[0]
		if lo, hi := max(from, 0), min(to, n); lo < hi {
			t.values(dst[(lo-from)*cols:(hi-from)*cols], lo*cols)
		}
		from, to = from-n, to-n
	}
}
