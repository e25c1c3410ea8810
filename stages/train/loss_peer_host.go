package train

import (
	"math"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/vector"
)

// The projection and the terms of peer teaching without a graph: small graphs cost a third
// of a step of small students. The formulas are those of [project] and loss_peer.go.

// hostProject is [project] of states [K, D] by proj [dim, D].
func hostProject(h, proj []float32, dim int, raw bool) (z []float32, back func(dz []float32, grads [][]float32) []float32) {
	width := len(proj) / dim
	rows := len(h) / width
	view := func(x []float32, rows, cols int) vector.View[float32] {
		return vector.View[float32]{Data: x, Rows: rows, Cols: cols, Stride: cols}
	}
	z = make([]float32, rows*dim)
	vector.NT(nil, view(z, rows, dim), view(h, rows, width), view(proj, dim, width), false)
	var by []float32 // [K] 1 over the standard deviation
	if !raw {
		by = make([]float32, rows)
		for r := range by {
			by[r] = standardise(z[r*dim:][:dim])
		}
	}
	return z, func(dz []float32, grads [][]float32) []float32 {
		dy := dz
		if !raw {
			dy = make([]float32, len(dz))
			for r := range by {
				standardiseBack(dy[r*dim:][:dim], dz[r*dim:][:dim], z[r*dim:][:dim], by[r])
			}
		}
		vector.TN(nil, view(grads[0], dim, width), view(dy, rows, dim), view(h, rows, width), true)
		dh := make([]float32, len(h))
		vector.NN(nil, view(dh, rows, width), view(dy, rows, dim), view(proj, dim, width), false)
		return dh
	}
}

// standardise replaces x by (x - mean)·by, for by = 1/sqrt(variance + 1e-5).
func standardise(x []float32) (by float32) {
	var mean, sq float32
	for _, v := range x {
		mean += v
	}
	mean /= float32(len(x))
	for i := range x {
		x[i] -= mean
		sq += x[i] * x[i]
	}
	by = float32(1 / math.Sqrt(float64(sq)/float64(len(x))+1e-5))
	for i := range x {
		x[i] *= by
	}
	return by
}

// standardiseBack writes by·(dz - mean(dz) - z·mean(dz·z)) to dx.
func standardiseBack(dx, dz, z []float32, by float32) {
	var mean, along float32
	for i, v := range dz {
		mean += v
		along += v * z[i]
	}
	n := float32(len(z))
	for i, v := range dz {
		dx[i] = by * (v - mean/n - z[i]*along/n)
	}
}

// hostPeer is the mean square distance of [peer].
func hostPeer(pullsBack bool) func(read func(string) []float32, weight float32, grad []float32) float64 {
	return func(read func(string) []float32, weight float32, grad []float32) (value float64) {
		z, mask, target := read(causal.InZ), read(inMask), read(inTarget)
		var pull []float32
		if pullsBack {
			pull = read(inPull)
		}
		dim := len(z) / len(mask)
		all := counted(mask) * float32(dim)
		for r, m := range mask {
			if m == 0 {
				continue
			}
			for i := r * dim; i < (r+1)*dim; i++ {
				d := z[i] - target[i]
				value += float64(d * d)
				slope := 2 * d
				if pullsBack {
					slope += pull[i]
				}
				grad[i] += weight * slope / all
			}
		}
		return value / float64(all)
	}
}

// counted is how many positions count, 1 at the least.
func counted(mask []float32) (n float32) {
	for _, m := range mask {
		n += m
	}
	return max(n, 1)
}

// centred is z [K, Z] less its mean over the positions that count, the others zero; and
// what a sum of products is divided by for a covariance.
func centred(z, mask []float32) (c []float32, dim int, over float32) {
	dim = len(z) / len(mask)
	n := counted(mask)
	mean := make([]float32, dim)
	for r, m := range mask {
		if m != 0 {
			vector.Add(mean, 1/n, z[r*dim:][:dim])
		}
	}
	c = make([]float32, len(z))
	for r, m := range mask {
		if m != 0 {
			copy(c[r*dim:][:dim], z[r*dim:])
			vector.Add(c[r*dim:][:dim], -1, mean)
		}
	}
	return c, dim, max(n-1, 1)
}

// hostVariance is [peerVariance]. The mean gets no gradient: what is less its mean adds up
// to zero.
func hostVariance(read func(string) []float32, weight float32, grad []float32) (value float64) {
	c, dim, over := centred(read(causal.InZ), read(inMask))
	slope := make([]float32, dim)
	for i, v := range c {
		slope[i%dim] += v * v
	}
	for d, sq := range slope {
		slope[d] = 0
		if std := math.Sqrt(float64(sq/over) + 1e-4); std < 1 {
			value += (1 - std) / float64(dim)
			slope[d] = -weight / (float32(std) * float32(dim) * over)
		}
	}
	for i, v := range c {
		grad[i] += slope[i%dim] * v
	}
	return value
}

// hostCovariance is [peerCovariance].
func hostCovariance(read func(string) []float32, weight float32, grad []float32) (value float64) {
	c, dim, over := centred(read(causal.InZ), read(inMask))
	x := vector.View[float32]{Data: c, Rows: len(c) / dim, Cols: dim, Stride: dim}
	cov := vector.View[float32]{Data: make([]float32, dim*dim), Rows: dim, Cols: dim, Stride: dim}
	vector.TN(nil, cov, x, x, false)
	for i := range cov.Data {
		if i%(dim+1) == 0 {
			cov.Data[i] = 0
			continue
		}
		v := cov.Data[i] / over
		value += float64(v*v) / float64(dim)
		cov.Data[i] = weight * 4 * v / (float32(dim) * over) // of the two factors in each of two places
	}
	to := vector.View[float32]{Data: grad, Rows: x.Rows, Cols: dim, Stride: dim}
	vector.NN(nil, to, x, cov, true)
	return value
}
