package decoder

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// projection describes one of the four matrices of a layer, with what it is packed of.
type projection struct {
	w, bias slot
	has     bool // a bias
	in, out int
	targets []string
	widths  []int
}

// The places of a layer's projections, in the order in which they run.
const (
	projQKV = iota
	projO
	projGateUp
	projDown
)

func projectionsOf(c Config) [4]projection {
	f := c.Features()
	h, g := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	return [4]projection{
		{qkv, qkvBias, f.QKVBias, c.Dim, h + 2*g, qkvTargets, []int{h, g, g}},
		{oProj, oBias, f.OBias, h, c.Dim, oTargets, []int{c.Dim}},
		{gateUp, gateUpBias, f.MLPBias, c.Dim, 2 * c.FFN, gateUpTargets, []int{c.FFN, c.FFN}},
		{down, downBias, f.MLPBias, c.FFN, c.Dim, downTargets, []int{c.Dim}},
	}
}

// view is x as rows of cols numbers.
func view(x []float32, rows, cols int) vector.View[float32] {
	return vector.View[float32]{Data: x, Rows: rows, Cols: cols, Stride: cols}
}

// columns are some columns of a matrix.
func columns(v vector.View[float32], from, to int) vector.View[float32] {
	return vector.View[float32]{Data: v.Data[from:], Rows: v.Rows, Cols: to - from, Stride: v.Stride}
}

func halves(x []uint16, rows, cols int) vector.View[uint16] {
	return vector.View[uint16]{Data: x, Rows: rows, Cols: cols, Stride: cols}
}

// panels calls f for parts of a packed matrix [out, in], unpacked, one after the other.
func (t *HostTrainer) panels(w HostParam, out, in int, f func(from, to int, panel vector.View[float32])) {
	rows := min(out, max(1, t.unpacked/in))
	t.panel = sized(t.panel, rows*in)
	const unit = 16 // rows that are unpacked together
	for from := 0; from < out; from += rows {
		to := min(out, from+rows)
		t.team.Run((to-from+unit-1)/unit, func(i int) {
			lo := from + i*unit
			hi := min(to, lo+unit)
			w.Packed.Rows(t.panel[(lo-from)*in:(hi-from)*in], lo, hi)
		})
		f(from, to, view(t.panel, to-from, in))
	}
}

// times is y = x·wᵀ, or with add y += x·wᵀ, for x [rows, in] and w [out, in].
func (t *HostTrainer) times(y, x vector.View[float32], w HostParam, add bool) {
	switch {
	case w.Packed != nil:
		t.panels(w, y.Cols, x.Cols, func(from, to int, p vector.View[float32]) {
			vector.NT(t.team, columns(y, from, to), x, p, add)
		})
	case len(w.BF16) > 0:
		vector.NT(t.team, y, x, halves(w.BF16, y.Cols, x.Cols), add)
	default:
		vector.NT(t.team, y, x, view(w.F32, y.Cols, x.Cols), add)
	}
}

// back is dx = dy·w, or with add dx += dy·w, for dy [rows, out] and w [out, in].
func (t *HostTrainer) back(dx, dy vector.View[float32], w HostParam, add bool) {
	switch {
	case w.Packed != nil:
		t.panels(w, dy.Cols, dx.Cols, func(from, to int, p vector.View[float32]) {
			vector.NN(t.team, dx, columns(dy, from, to), p, add || from > 0)
		})
	case len(w.BF16) > 0:
		vector.NN(t.team, dx, dy, halves(w.BF16, dy.Cols, dx.Cols), add)
	default:
		vector.NN(t.team, dx, dy, view(w.F32, dy.Cols, dx.Cols), add)
	}
}

// project is Model.project of projection k from x to y.
func (t *HostTrainer) project(l, k int, y, x []float32) {
	p := &t.projections[k]
	xv, yv := view(x, t.n, p.in), view(y, t.n, p.out)
	if p.has {
		b := t.vectors[t.config.index(l, p.bias)]
		t.blocks(p.out, func(from, to int) {
			for i := from; i < to; i++ {
				copy(y[i*p.out:][:p.out], b)
			}
		})
	}
	t.times(yv, xv, t.params[t.config.index(l, p.w)], p.has)
	at := 0
	for i, target := range p.targets {
		from := at
		at += p.widths[i]
		k := t.adapter(l, target)
		if k < 0 {
			continue
		}
		rank := t.o.Adapters.Rank
		low := t.rows(&t.low[k/2], rank)
		vector.NT(t.team, view(low, t.n, rank), t.drop(xv, k), view(t.trained[k].Data, rank, p.in), false)
		t.blocks(rank, func(from, to int) { vector.Scale(low[from*rank:to*rank], t.o.Adapters.Scale) })
		vector.NT(t.team, columns(yv, from, at), view(low, t.n, rank), view(t.trained[k+1].Data, p.widths[i], rank), true)
	}
}

// reads reports whether the gradients of projection k need what it read.
func (t *HostTrainer) reads(k int) bool {
	return t.all() || slices.ContainsFunc(t.projections[k].targets, func(s string) bool { return t.adapter(0, s) >= 0 })
}

// projectBack adds the gradients of projection k to grads and writes that of what it read
// to dx, unless that is nil. x is only looked at where reads says so.
func (t *HostTrainer) projectBack(l, k int, dx, dy, x []float32, grads [][]float32) {
	p := &t.projections[k]
	dyv := view(dy, t.n, p.out)
	w := t.config.index(l, p.w)
	if t.all() {
		vector.TN(t.team, view(grads[w], p.out, p.in), dyv, view(x, t.n, p.in), true)
		if p.has {
			t.sumRows(grads[t.config.index(l, p.bias)], dy, p.out)
		}
	}
	if dx != nil {
		t.back(view(dx, t.n, p.in), dyv, t.params[w], false)
	}
	at := 0
	for i, target := range p.targets {
		from := at
		at += p.widths[i]
		k := t.adapter(l, target)
		if k < 0 {
			continue
		}
		rank := t.o.Adapters.Rank
		part := columns(dyv, from, at)
		a, b := view(t.trained[k].Data, rank, p.in), view(t.trained[k+1].Data, p.widths[i], rank)
		vector.TN(t.team, view(grads[k+1], p.widths[i], rank), part, view(t.low[k/2], t.n, rank), true)
		dLow := view(t.rows(&t.dLow, rank), t.n, rank)
		vector.NN(t.team, dLow, part, b, false)
		t.blocks(rank, func(from, to int) { vector.Scale(t.dLow[from*rank:to*rank], t.o.Adapters.Scale) })
		vector.TN(t.team, view(grads[k], rank, p.in), dLow, t.drop(view(x, t.n, p.in), k), true)
		switch {
		case dx == nil:
		case !t.drops():
			vector.NN(t.team, view(dx, t.n, p.in), dLow, a, true)
		default:
			d := view(t.rows(&t.dropped, p.in), t.n, p.in)
			vector.NN(t.team, d, dLow, a, false)
			t.drop(d, k)
			t.blocks(p.in, func(from, to int) { vector.Add(dx[from*p.in:to*p.in], 1, d.Data[from*p.in:to*p.in]) })
		}
	}
}

// drops reports whether this pass has dropout.
func (t *HostTrainer) drops() bool { return t.pass.Training && !t.all() && t.o.Adapters.Drop != nil }

// drop is what dropout leaves of what the adapter at k reads, in t.dropped; x itself
// without dropout.
func (t *HostTrainer) drop(x vector.View[float32], k int) vector.View[float32] {
	if !t.drops() {
		return x
	}
	y := t.rows(&t.dropped, x.Cols)
	t.blocks(x.Cols, func(from, to int) {
		for i := from; i < to; i++ {
			at := t.row[i]*t.pass.Seq + int(t.pos[i])
			t.o.Adapters.Drop(y[i*x.Cols:][:x.Cols], x.Data[i*x.Cols:], t.pass.Seed, uint32(k), uint32(at*x.Cols))
		}
	})
	return view(y, x.Rows, x.Cols)
}
