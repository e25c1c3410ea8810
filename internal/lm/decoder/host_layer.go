package decoder

import (
	"math"
	"sync"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// little is how much elementwise work is not worth sharing.
const little = 1 << 13

// each calls f for each position, shared where work, the numbers per position, is enough.
func (r *HostRun) each(work int, f func(i int)) {
	n := len(r.at)
	if n*work < little {
		for i := range n {
			f(i)
		}
		return
	}
	r.team.Run(n, f)
}

// layer runs the positions of a pass through one layer, from r.x to r.x.
func (r *HostRun) layer(l int) {
	c, f := r.config, r.features
	d, h := c.Dim, c.Heads*c.HeadDim
	g := c.KVHeads * c.HeadDim
	r.normAll(r.n, r.x, l, inputNorm)
	r.project(l, r.packed, r.n, qkv, qkvBias, f.QKVBias, d, qkvTargets, []int{h, g, g})
	r.remember(l)
	r.attend(l)
	r.project(l, r.out, r.att, oProj, oBias, f.OBias, h, oTargets, []int{d})
	r.add(l, attnOutNorm)
	r.normAll(r.n, r.x, l, ffnNorm)
	r.project(l, r.wide, r.n, gateUp, gateUpBias, f.MLPBias, d, gateUpTargets, []int{c.FFN, c.FFN})
	r.glu()
	r.project(l, r.out, r.act, down, downBias, f.MLPBias, c.FFN, downTargets, []int{d})
	r.add(l, ffnOutNorm)
}

// norm is Model.norm of one row.
func (r *HostRun) norm(y, x, w []float32) {
	var a, b, c, d float32
	k := 0
	for ; k+4 <= len(x); k += 4 {
		a += x[k] * x[k]
		b += x[k+1] * x[k+1]
		c += x[k+2] * x[k+2]
		d += x[k+3] * x[k+3]
	}
	for ; k < len(x); k++ {
		a += x[k] * x[k]
	}
	mean := float64((a+b)+(c+d)) / float64(len(x))
	scale := float32(1 / math.Sqrt(mean+r.config.NormEps))
	for i, v := range x {
		y[i] = v * scale * w[i]
	}
}

func (r *HostRun) normAll(y, x []float32, l int, s slot) {
	d, w := r.config.Dim, r.vectors[r.config.index(l, s)]
	r.each(d, func(i int) { r.norm(y[i*d:][:d], x[i*d:][:d], w) })
}

// add adds r.out to the residual stream, after its norm in the families that have one.
func (r *HostRun) add(l int, s slot) {
	d := r.config.Dim
	var w []float32
	if r.features.SandwichNorm {
		w = r.vectors[r.config.index(l, s)]
	}
	r.each(d, func(i int) {
		x, y := r.x[i*d:][:d], r.out[i*d:][:d]
		if w != nil {
			r.norm(y, y, w)
		}
		for k, v := range y {
			x[k] += v
		}
	})
}

// project is Model.project from x [rows, n] to y [rows, sum of widths].
func (r *HostRun) project(l int, y, x []float32, w, bias slot, has bool, n int, targets []string, widths []int) {
	rows, out := len(r.at), 0
	for _, v := range widths {
		out += v
	}
	var b []float32
	if has {
		b = r.vectors[r.config.index(l, bias)]
	}
	m := r.params[r.config.index(l, w)]
	r.columns(out, func(from, to int) {
		product(y[from:], out, x, n, rows, m, n, from, to)
		if b != nil {
			for i := range rows {
				row := y[i*out:]
				for k := from; k < to; k++ {
					row[k] += b[k]
				}
			}
		}
	})
	if r.adapt == nil {
		return
	}
	at := 0
	for i, t := range targets {
		if a := r.adapt(l, t); a != nil {
			r.addLowRank(y[at:], out, x, n, a, widths[i])
		}
		at += widths[i]
	}
}

// addLowRank adds an adapter's part to width columns of y, whose rows are ys apart.
func (r *HostRun) addLowRank(y []float32, ys int, x []float32, n int, a *LowRank, width int) {
	rows := len(r.at)
	padded := (rows + vector.Rows - 1) / vector.Rows * vector.Rows
	r.low, r.part = sized(r.low, padded*a.Rank), sized(r.part, padded*width)
	vector.Product(r.low, a.Rank, x, n, rows, a.A, n, 0, a.Rank)
	r.columns(width, func(from, to int) {
		vector.Product(r.part, width, r.low, a.Rank, rows, a.B, a.Rank, from, to)
		for i := range rows {
			for k := from; k < to; k++ {
				y[i*ys+k] += a.Scale * r.part[i*width+k]
			}
		}
	})
}

// columns shares the columns of a product in even parts.
func (r *HostRun) columns(n int, f func(from, to int)) {
	parts := 4 * r.team.Size()
	step := max(32, (n+parts-1)/parts+1) &^ 1
	r.team.Run((n+step-1)/step, func(i int) { f(i*step, min(n, (i+1)*step)) })
}

// remember normalises and turns queries and keys in r.packed and writes keys and values
// into the sequences.
func (r *HostRun) remember(l int) {
	c, f := r.config, r.features
	e, wide := c.HeadDim, (c.Heads+2*c.KVHeads)*c.HeadDim
	_, rope := f.window(l)
	t := r.turn[rope]
	var qw, kw []float32
	if f.QKNorm {
		qw, kw = r.vectors[c.index(l, qNorm)], r.vectors[c.index(l, kNorm)]
	}
	scale := float32(c.queryScale())
	r.each(wide, func(i int) {
		p := r.at[i]
		cos, sin := t.cos[p.pos*e:][:e], t.sin[p.pos*e:][:e]
		row := r.packed[i*wide:][:wide]
		for h := range c.Heads + c.KVHeads {
			x := row[h*e:][:e]
			if w := qw; w != nil {
				if h >= c.Heads {
					w = kw
				}
				r.norm(x, x, w)
			}
			turn(x, cos, sin)
			if h < c.Heads {
				for k := range x {
					x[k] *= scale
				}
			}
		}
		for g := range c.KVHeads {
			copy(p.seq.k[l*c.KVHeads+g][p.pos*e:][:e], row[(c.Heads+g)*e:])
			copy(p.seq.v[l*c.KVHeads+g][p.pos*e:][:e], row[(c.Heads+c.KVHeads+g)*e:])
		}
	})
}

// turn rotates one head, as rope.rotate does.
func turn(x, cos, sin []float32) {
	half := len(x) / 2
	for i := range half {
		a, b := x[i], x[half+i]
		x[i], x[half+i] = a*cos[i]-b*sin[i], b*cos[half+i]+a*sin[half+i]
	}
}

// attendRows is how many positions of one sequence attend together.
const attendRows = 16

// attend computes attention from the queries in r.packed and the sequences to r.att.
func (r *HostRun) attend(l int) {
	type work struct{ from, to, head int }
	var all []work
	for from := 0; from < len(r.at); {
		to := from + 1
		for to < len(r.at) && to-from < attendRows && r.at[to].seq == r.at[from].seq {
			to++
		}
		for g := range r.config.KVHeads {
			all = append(all, work{from, to, g})
		}
		from = to
	}
	r.team.Run(len(all), func(i int) { r.attendTo(l, all[i].head, all[i].from, all[i].to) })
}

var attendBuffers = sync.Pool{New: func() any { return new([]float32) }}

// attendTo does the query heads of one key/value head for some positions of a sequence.
func (r *HostRun) attendTo(l, g, from, to int) {
	c, f := r.config, r.features
	e, group := c.HeadDim, c.Heads/c.KVHeads
	wide := (c.Heads + 2*c.KVHeads) * e
	window, _ := f.window(l)
	first := func(pos int) int {
		if window > 0 {
			return max(0, pos+1-window)
		}
		return 0
	}
	seq := r.at[from].seq
	lo, hi := first(r.at[from].pos), r.at[to-1].pos+1
	span := (hi - lo + 1) / 2 * 2 // in pairs, so that no key depends on being the last
	if lo+span > len(seq.k[0])/e {
		lo-- // the room is even
	}
	rows := (to - from) * group
	padded := (rows + vector.Rows - 1) / vector.Rows * vector.Rows
	buf := attendBuffers.Get().(*[]float32)
	defer attendBuffers.Put(buf)
	*buf = sized(*buf, padded*(e+span))
	q, scores := (*buf)[:padded*e], (*buf)[padded*e:]
	clear(q[rows*e:])
	for i := from; i < to; i++ {
		copy(q[(i-from)*group*e:], r.packed[i*wide+g*group*e:][:group*e])
	}
	k, v := seq.k[l*c.KVHeads+g], seq.v[l*c.KVHeads+g]
	vector.Product(scores, span, q, e, rows, k[lo*e:], e, 0, span)
	for i := range rows {
		p := r.at[from+i/group].pos
		a, b := first(p), p+1
		s := scores[i*span+a-lo : i*span+b-lo]
		if f.AttnCap != 0 {
			capped(s, float32(f.AttnCap))
		}
		vector.Softmax(s)
		at := (from+i/group)*c.Heads*e + (g*group+i%group)*e
		vector.Sum(r.att[at:at+e], s, v[a*e:b*e])
	}
}

// glu is Model.glu from r.wide to r.act.
func (r *HostRun) glu() {
	n := r.config.FFN
	kind := r.features.Act
	r.each(8*n, func(i int) {
		gate, up, y := r.wide[i*2*n:][:n], r.wide[i*2*n+n:][:n], r.act[i*n:][:n]
		switch kind {
		case GELUTanh:
			const c = 2 * 0.7978845608028654 // 2·sqrt(2/π)
			for k, x := range gate {
				y[k] = up[k] * x / (1 + vector.Exp(-c*(x+0.044715*x*x*x)))
			}
		case GELU:
			for k, x := range gate {
				y[k] = up[k] * x * 0.5 * (1 + float32(math.Erf(float64(x)/math.Sqrt2)))
			}
		default:
			for k, x := range gate {
				y[k] = up[k] * x / (1 + vector.Exp(-x))
			}
		}
	})
}
