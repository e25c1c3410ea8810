package decoder

import "github.com/distillflow/distillflow/internal/lm/vector"

// forward runs layer l from the residual stream in to out, with mid between attention and
// feed-forward; they may be one. out nil computes again what the backward pass reads.
func (t *HostTrainer) forward(l int, in, mid, out []float32) {
	c, f, s := t.config, t.features, t.kept(l)
	d := c.Dim
	norm := t.rows(&t.norm, d)
	t.norms(norm, in, c.index(l, inputNorm), d)
	packed := t.rows(&s.packed, t.projections[projQKV].out)
	t.project(l, projQKV, packed, norm)
	t.turnAll(l, s)
	att := t.rows(&s.att, c.Heads*c.HeadDim)
	t.attend(l, s)
	sum, ffn := &t.out, &t.out
	if f.SandwichNorm {
		sum, ffn = &s.attnOut, &s.ffnOut
	}
	t.project(l, projO, t.rows(sum, d), att)
	t.addTo(mid, in, *sum, l, attnOutNorm)

	t.norms(norm, mid, c.index(l, ffnNorm), d)
	t.project(l, projGateUp, t.rows(&s.wide, 2*c.FFN), norm)
	if out == nil && !f.SandwichNorm {
		return
	}
	act := t.rows(&t.act, c.FFN)
	t.glu(act, s.wide)
	t.project(l, projDown, t.rows(ffn, d), act)
	if out != nil {
		t.addTo(out, mid, *ffn, l, ffnOutNorm)
	}
}

// backward adds the gradients of layer l to grads, and takes dx from the gradient of the
// residual stream that leaves the layer to that of what enters it. In layer 0 it ends where
// nothing further down is trained.
func (t *HostTrainer) backward(l int, in, mid, dx []float32, grads [][]float32) {
	c, f, s := t.config, t.features, t.kept(l)
	d := c.Dim
	norm := t.rows(&t.norm, d)
	// What a projection read needs no gradient where nothing further down is trained.
	below := func(k int, b *[]float32, width int) []float32 {
		if l == 0 && k == t.stop && !t.all() {
			return nil
		}
		return t.rows(b, width)
	}

	dOut := dx
	if f.SandwichNorm {
		dOut = t.rows(&t.dOut, d)
		t.normsBack(dOut, dx, s.ffnOut, c.index(l, ffnOutNorm), d, false, grads)
	}
	act := t.rows(&t.act, c.FFN)
	if t.reads(projDown) {
		t.glu(act, s.wide)
	}
	dAct := below(projDown, &t.dAct, c.FFN)
	t.projectBack(l, projDown, dAct, dOut, act, grads)
	if dAct == nil {
		return
	}
	t.gluBack(s.wide, dAct)
	if t.reads(projGateUp) {
		t.norms(norm, mid, c.index(l, ffnNorm), d)
	}
	dNorm := below(projGateUp, &t.dNorm, d)
	t.projectBack(l, projGateUp, dNorm, s.wide, norm, grads)
	if dNorm == nil {
		return
	}
	t.normsBack(dx, dNorm, mid, c.index(l, ffnNorm), d, true, grads)

	if f.SandwichNorm {
		t.normsBack(dOut, dx, s.attnOut, c.index(l, attnOutNorm), d, false, grads)
	}
	dAtt := below(projO, &t.dAct, c.Heads*c.HeadDim)
	t.projectBack(l, projO, dAtt, dOut, s.att, grads)
	if dAtt == nil {
		return
	}
	dPacked := t.rows(&t.dPacked, t.projections[projQKV].out)
	t.attendBack(l, s, dPacked, dAtt)
	t.turnBack(l, s, dPacked, grads)
	if t.reads(projQKV) {
		t.norms(norm, in, c.index(l, inputNorm), d)
	}
	dNorm = below(projQKV, &t.dNorm, d)
	t.projectBack(l, projQKV, dNorm, dPacked, norm, grads)
	if dNorm != nil {
		t.normsBack(dx, dNorm, in, c.index(l, inputNorm), d, true, grads)
	}
}

// addTo is y = x + what a part of the layer adds, after its norm in the families that have
// one.
func (t *HostTrainer) addTo(y, x, part []float32, l int, s slot) {
	d := t.config.Dim
	var w []float32
	if t.features.SandwichNorm {
		w = t.vectors[t.config.index(l, s)]
	}
	t.blocks(d, func(from, to int) {
		normed := t.free.take(d)
		for i := from; i < to; i++ {
			p, x, y := part[i*d:][:d], x[i*d:][:d], y[i*d:][:d]
			if w != nil {
				vector.RMSNorm(normed, p, w, t.config.NormEps)
				p = normed
			}
			for k, v := range p {
				y[k] = x[k] + v
			}
		}
		t.free.give(normed)
	})
}

// embed writes the residual stream that enters the first layer.
func (t *HostTrainer) embed(x []float32) {
	d, w := t.config.Dim, t.params[0]
	t.blocks(d, func(from, to int) {
		for i := from; i < to; i++ {
			row, at := x[i*d:][:d], int(t.pass.IDs[i])*d
			if len(w.F32) > 0 {
				for k, v := range w.F32[at:][:d] {
					row[k] = v * t.scale
				}
				continue
			}
			for k, v := range w.BF16[at:][:d] {
				row[k] = vector.Float(v) * t.scale
			}
		}
	})
}

// addRows adds the rows of part, width numbers each, times by to the rows of sum that at
// names, always in their order: goroutines share the columns.
func (t *HostTrainer) addRows(sum []float32, at []int32, part []float32, width int, by float32) {
	const share = 32
	t.team.Run((width+share-1)/share, func(b int) {
		from, to := b*share, min(width, (b+1)*share)
		for i, p := range at {
			vector.Add(sum[int(p)*width:][from:to], by, part[i*width:][from:to])
		}
	})
}

// positions is how many of them elementwise work is cut into. Sums over positions are made
// of the sums of blocks, so that they do not depend on who adds.
const positions = 32

// blocks calls f for blocks of positions, shared where the numbers per position, width, are
// enough.
func (t *HostTrainer) blocks(width int, f func(from, to int)) {
	n := (t.n + positions - 1) / positions
	one := func(i int) { f(i*positions, min(t.n, (i+1)*positions)) }
	if t.n*width < little {
		for i := range n {
			one(i)
		}
		return
	}
	t.team.Run(n, one)
}

// sums adds to sum what f adds to a part of its own for each block of positions.
func (t *HostTrainer) sums(sum []float32, work int, f func(from, to int, part []float32)) {
	width := len(sum)
	t.partial = sized(t.partial, (t.n+positions-1)/positions*width)
	clear(t.partial)
	t.blocks(work, func(from, to int) { f(from, to, t.partial[from/positions*width:][:width]) })
	for at := 0; at < len(t.partial); at += width {
		vector.Add(sum, 1, t.partial[at:][:width])
	}
}

// sumRows adds the rows of x to sum.
func (t *HostTrainer) sumRows(sum, x []float32, width int) {
	t.sums(sum, width, func(from, to int, part []float32) {
		for i := from; i < to; i++ {
			vector.Add(part, 1, x[i*width:][:width])
		}
	})
}

// norms is Model.norm of each position's width numbers, by the weight at place w in
// [Layout].
func (t *HostTrainer) norms(y, x []float32, w, width int) {
	g := t.vectors[w]
	t.blocks(width, func(from, to int) {
		for i := from; i < to; i++ {
			vector.RMSNorm(y[i*width:][:width], x[i*width:][:width], g, t.config.NormEps)
		}
	})
}

// normsBack writes to dx the gradient with respect to x, or with more adds it, and adds that
// of the weight to grads where it is trained. dx may be dy.
func (t *HostTrainer) normsBack(dx, dy, x []float32, w, width int, more bool, grads [][]float32) {
	g := t.vectors[w]
	one := func(from, to int, dw []float32) {
		for i := from; i < to; i++ {
			vector.RMSNormBack(dx[i*width:][:width], dy[i*width:], x[i*width:][:width], g, dw, t.config.NormEps, more)
		}
	}
	if t.all() {
		t.sums(grads[w], width, one)
		return
	}
	t.blocks(width, func(from, to int) { one(from, to, nil) })
}

// glu is Model.glu from wide [N, 2F] to y [N, F].
func (t *HostTrainer) glu(y, wide []float32) {
	n := t.config.FFN
	t.blocks(8*n, func(from, to int) {
		for i := from; i < to; i++ {
			gated(t.features.Act, y[i*n:][:n], wide[i*2*n:][:n], wide[i*2*n+n:][:n])
		}
	})
}

// gluBack replaces wide by its gradient, from that of what glu made of it.
func (t *HostTrainer) gluBack(wide, dy []float32) {
	n := t.config.FFN
	t.blocks(8*n, func(from, to int) {
		for i := from; i < to; i++ {
			gatedBack(t.features.Act, dy[i*n:][:n], wide[i*2*n:][:n], wide[i*2*n+n:][:n])
		}
	})
}
