package decoder

import "github.com/distillflow/distillflow/internal/lm/vector"

// turnAll normalises queries and keys of s.packed in the families that do, turns them, and
// scales the queries.
func (t *HostTrainer) turnAll(l int, s *hostLayer) {
	c := t.config
	e, wide, turned := c.HeadDim, t.projections[projQKV].out, (c.Heads+c.KVHeads)*c.HeadDim
	_, kind := t.features.window(l)
	table, scores := t.turn[kind], float32(c.queryScale())
	var raw []float32
	if t.features.QKNorm {
		raw = t.rows(&s.raw, turned)
	}
	t.blocks(wide, func(from, to int) {
		for i := from; i < to; i++ {
			row := s.packed[i*wide:][:turned]
			if raw != nil {
				copy(raw[i*turned:], row)
			}
			at := int(t.pos[i]) * e
			for h := range c.Heads + c.KVHeads {
				x := row[h*e:][:e]
				if raw != nil {
					vector.RMSNorm(x, x, t.headNorm(l, h), t.config.NormEps)
				}
				turn(x, table.cos[at:][:e], table.sin[at:][:e])
				if h < c.Heads {
					vector.Scale(x, scores)
				}
			}
		}
	})
}

// headNorm is the weight that normalises head h of the queries and keys.
func (t *HostTrainer) headNorm(l, h int) []float32 {
	if h < t.config.Heads {
		return t.vectors[t.config.index(l, qNorm)]
	}
	return t.vectors[t.config.index(l, kNorm)]
}

// turnBack takes the gradient of what turnAll made, in d, to that of what it read.
func (t *HostTrainer) turnBack(l int, s *hostLayer, d []float32, grads [][]float32) {
	c := t.config
	e, wide, turned := c.HeadDim, t.projections[projQKV].out, (c.Heads+c.KVHeads)*c.HeadDim
	_, kind := t.features.window(l)
	table, scores := t.turn[kind], float32(c.queryScale())
	one := func(from, to int, dw []float32) {
		for i := from; i < to; i++ {
			at := int(t.pos[i]) * e
			for h := range c.Heads + c.KVHeads {
				x := d[i*wide+h*e:][:e]
				if h < c.Heads {
					vector.Scale(x, scores)
				}
				unturn(x, table.cos[at:][:e], table.sin[at:][:e])
				if !t.features.QKNorm {
					continue
				}
				var part []float32
				if dw != nil {
					part = dw[:e]
					if h >= c.Heads {
						part = dw[e:]
					}
				}
				vector.RMSNormBack(x, x, s.raw[i*turned+h*e:][:e], t.headNorm(l, h), part, t.config.NormEps, false)
			}
		}
	}
	if !t.features.QKNorm || !t.all() {
		t.blocks(wide, func(from, to int) { one(from, to, nil) })
		return
	}
	both := t.free.take(2 * e)
	clear(both)
	t.sums(both, wide, one)
	vector.Add(grads[c.index(l, qNorm)], 1, both[:e])
	vector.Add(grads[c.index(l, kNorm)], 1, both[e:])
	t.free.give(both)
}

// unturn is the transpose of turn.
func unturn(x, cos, sin []float32) {
	half := len(x) / 2
	for i := range half {
		a, b := x[i], x[half+i]
		x[i], x[half+i] = a*cos[i]+b*sin[i], b*cos[half+i]-a*sin[half+i]
	}
}

// attendBlock is how many queries of a head attend together. Their scores are of the keys
// that at least one of them sees.
const attendBlock = 32

// tile is some queries of a head in a row with some keys, with buffers for scores. Places
// count from the row's start.
type tile struct {
	t        *HostTrainer
	s        *hostLayer
	begin    int // place of the row's start in the pass
	n        int // positions of the row
	g, h     int // key/value head, query head
	from, to int // queries
	lo, hi   int // keys
	window   int
	a, b     []float32
}

// tile calls f with a tile of row r and key/value head g; f chooses the rest.
func (t *HostTrainer) tile(l int, s *hostLayer, r, g int, f func(x *tile)) {
	x := tile{t: t, s: s, begin: t.begin[r], n: t.begin[r+1] - t.begin[r], g: g}
	x.window, _ = t.features.window(l)
	size := min(attendBlock, x.n) * x.n
	buf := t.free.take(2 * size)
	x.a, x.b = buf[:size], buf[size:]
	f(&x)
	t.free.give(buf)
}

// heads calls f for the query heads of the tile's key/value head, in order.
func (x *tile) heads(f func()) {
	group := x.t.config.Heads / x.t.config.KVHeads
	for x.h = x.g * group; x.h < (x.g+1)*group; x.h++ {
		f()
	}
}

// block chooses the queries from on, with all keys that they see.
func (x *tile) block(from int) {
	x.from, x.to = from, min(x.n, from+attendBlock)
	x.lo, x.hi = 0, x.to
	if x.window > 0 {
		x.lo = max(0, from+1-x.window)
	}
}

// seen are those of the tile's keys that query i of it sees, from lo on.
func (x *tile) seen(i int) (from, to int) {
	p := x.from + i
	if x.window > 0 {
		from = p + 1 - x.window
	}
	to = min(p+1, x.hi)
	from = min(max(from, x.lo), to)
	return max(0, from-x.lo), max(0, to-x.lo)
}

// part is the head at place h of positions from, to of a matrix of rows of width numbers.
func (x *tile) part(m []float32, width, h, from, to int) vector.View[float32] {
	e := x.t.config.HeadDim
	return vector.View[float32]{Data: m[(x.begin+from)*width+h*e:], Rows: to - from, Cols: e, Stride: width}
}

func (x *tile) queries(m []float32) vector.View[float32] {
	return x.part(m, x.t.projections[projQKV].out, x.h, x.from, x.to)
}

func (x *tile) keys(m []float32) vector.View[float32] {
	return x.part(m, x.t.projections[projQKV].out, x.t.config.Heads+x.g, x.lo, x.hi)
}

func (x *tile) values(m []float32) vector.View[float32] {
	return x.part(m, x.t.projections[projQKV].out, x.t.config.Heads+x.t.config.KVHeads+x.g, x.lo, x.hi)
}

// outs is the head of attention's output m [N, H·E].
func (x *tile) outs(m []float32) vector.View[float32] {
	return x.part(m, x.t.config.Heads*x.t.config.HeadDim, x.h, x.from, x.to)
}

// scores are the capped products of queries and keys, in x.a. Those of keys that a query does
// not see mean nothing.
func (x *tile) scores() vector.View[float32] {
	s := view(x.a, x.to-x.from, x.hi-x.lo)
	vector.NT(nil, s, x.queries(x.s.packed), x.keys(x.s.packed), false)
	if limit := float32(x.t.features.AttnCap); limit != 0 {
		for i := range s.Rows {
			from, to := x.seen(i)
			vector.Cap(s.Data[i*s.Stride:][from:to], limit)
		}
	}
	return s
}

// sums are of the scores of query i the largest, and 1 over the sum of their exponentials
// less it.
func (x *tile) sums(i int) []float32 {
	return x.s.sums[2*((x.begin+x.from+i)*x.t.config.Heads+x.h):][:2]
}

// attend computes attention from s.packed to s.att, and s.sums.
func (t *HostTrainer) attend(l int, s *hostLayer) {
	t.rows(&s.sums, 2*t.config.Heads)
	t.team.Run(len(t.attending)*t.config.KVHeads, func(i int) {
		b := t.attending[i/t.config.KVHeads]
		t.tile(l, s, b.row, i%t.config.KVHeads, func(x *tile) {
			x.heads(func() {
				x.block(b.from)
				p := x.scores()
				for i := range p.Rows {
					row := p.Data[i*p.Stride:][:p.Cols]
					from, to := x.seen(i)
					clear(row[:from])
					clear(row[to:])
					sums := x.sums(i)
					sums[0], sums[1] = vector.Softmax(row[from:to])
				}
				vector.NN(nil, x.outs(s.att), p, x.values(s.packed), false)
			})
		})
	})
}

// attendBack writes the gradient of s.packed to d, from that of s.att. It computes the
// probabilities again. See [Model.attend] for the formulas.
//
// Where there are fewer rows and key/value heads than goroutines, those share the queries of
// each, and then once more the keys: the same sums in the same order, for more work.
func (t *HostTrainer) attendBack(l int, s *hostLayer, d, dAtt []float32) {
	c := t.config
	rows := len(t.begin) - 1
	if rows*c.KVHeads >= t.team.Size() {
		t.team.Run(rows*c.KVHeads, func(i int) {
			t.tile(l, s, i/c.KVHeads, i%c.KVHeads, func(x *tile) {
				x.lo, x.hi = 0, x.n
				x.forget(d)
				x.heads(func() {
					for from := 0; from < x.n; from += attendBlock {
						x.block(from)
						x.back(d, dAtt, true, true)
					}
				})
			})
		})
		return
	}
	t.team.Run(len(t.attending)*c.Heads, func(i int) {
		b := t.attending[i/c.Heads]
		t.tile(l, s, b.row, i%c.Heads*c.KVHeads/c.Heads, func(x *tile) {
			x.h = i % c.Heads
			x.block(b.from)
			x.back(d, dAtt, true, false)
		})
	})
	t.team.Run(len(t.attending)*c.KVHeads, func(i int) {
		b := t.attending[i/c.KVHeads]
		t.tile(l, s, b.row, i%c.KVHeads, func(x *tile) {
			lo, hi := b.from, min(x.n, b.from+attendBlock)
			x.lo, x.hi = lo, hi
			x.forget(d)
			x.heads(func() {
				for from := lo; from < x.n; from += attendBlock {
					x.block(from)
					if x.lo >= hi {
						break
					}
					x.lo, x.hi = max(x.lo, lo), min(x.hi, hi)
					x.back(d, dAtt, false, true)
				}
			})
		})
	})
}

// forget sets the gradients of keys and values to 0.
func (x *tile) forget(d []float32) {
	for _, m := range []vector.View[float32]{x.keys(d), x.values(d)} {
		for i := range m.Rows {
			clear(m.Data[i*m.Stride:][:m.Cols])
		}
	}
}

// back writes the gradient of the tile's queries to d, and adds those of its keys and values.
func (x *tile) back(d, dAtt []float32, queries, keys bool) {
	limit := float32(x.t.features.AttnCap)
	p := x.scores()
	out, dOut := x.outs(x.s.att), x.outs(dAtt)
	dS := view(x.b, p.Rows, p.Cols)
	vector.NT(nil, dS, dOut, x.values(x.s.packed), false)
	for i := range p.Rows {
		from, to := x.seen(i)
		mean := vector.Dot(out.Data[i*out.Stride:][:out.Cols], dOut.Data[i*dOut.Stride:])
		sums := x.sums(i)
		row, dRow := p.Data[i*p.Stride:][:p.Cols], dS.Data[i*p.Stride:][:p.Cols]
		clear(row[:from])
		clear(row[to:])
		clear(dRow[:from])
		clear(dRow[to:])
		vector.SoftmaxBack(row[from:to], dRow[from:to], sums[0], sums[1], mean, limit)
	}
	if queries {
		vector.NN(nil, x.queries(d), dS, x.keys(x.s.packed), false)
	}
	if keys {
		vector.TN(nil, x.keys(d), dS, x.queries(x.s.packed), true)
		vector.TN(nil, x.values(d), p, dOut, true)
	}
}
