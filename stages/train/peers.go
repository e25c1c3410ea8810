package train

import (
	"math"
	"slices"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Peer teaching compares what two students, with two tokenizers, think at the same
// place in the text. Two hidden states stand at the same place when their tokens
// end at the same byte of the completion: both have then read exactly the same
// text. Averaging over tokens that overlap would mix in text that the other
// student has not seen.

// alignment lists, for one student, the aligned positions of a pass's sequences.
type alignment struct {
	per       int       // positions per sequence, padded
	positions []int32   // [total·per] index into the flattened [rows·seq] states
	mask      []float32 // [total·per] 1 where there is one
}

// alignPath returns, for each student, the positions in its sequence whose token
// ends at a byte of the completion where every student's token ends. coverage is
// the share of the first student's distinct ends that are common.
func alignPath(seqs []sequence) (positions [][]int, coverage float64) {
	at := make([]map[int]int, len(seqs))
	for i, s := range seqs {
		at[i] = map[int]int{}
		for k, e := range s.ends {
			// Of several tokens that end at one byte the last has read all of it.
			at[i][e] = s.prompt + k
		}
	}
	var common []int
	for e := range at[0] {
		if e > 0 && !slices.ContainsFunc(at[1:], func(m map[int]int) bool { _, ok := m[e]; return !ok }) {
			common = append(common, e)
		}
	}
	slices.Sort(common)
	positions = make([][]int, len(seqs))
	for i := range seqs {
		for _, e := range common {
			positions[i] = append(positions[i], at[i][e])
		}
	}
	return positions, float64(len(common)) / float64(max(1, len(at[0])))
}

// sameIndex aligns positions by their index in the sequences alone, whatever text stands
// there.
func sameIndex(seqs []sequence) (positions [][]int, coverage float64) {
	n := len(seqs[0].ids) - 1
	for _, s := range seqs[1:] {
		n = min(n, len(s.ids)-1)
	}
	positions = make([][]int, len(seqs))
	for i := range seqs {
		for k := range n {
			positions[i] = append(positions[i], k)
		}
	}
	return positions, float64(n) / float64(max(1, len(seqs[0].ids)-1))
}

// makeAlignment lays out the aligned positions of sequences that begin at places of a pass.
// Of the total that there is room for, those without positions, and the padding, point at
// position 0 with mask 0.
func makeAlignment(aligned [][]int, places []int, total, per int) *alignment {
	a := &alignment{per: per, positions: make([]int32, total*per), mask: make([]float32, total*per)}
	for r, ps := range aligned {
		for k, p := range ps[:min(len(ps), per)] {
			a.positions[r*per+k] = int32(places[r] + p)
			a.mask[r*per+k] = 1
		}
	}
	return a
}

// project gives z = LayerNorm(Proj h) [N, Z] of states [N, D], raw ones Proj h. Without the
// normalisation a student could satisfy its peers by shrinking.
func project(h, proj *Node, raw bool) *Node {
	z := DotGeneral(h, []int{1}, nil, proj, []int{1}, nil)
	if raw {
		return z
	}
	d := float64(z.Shape().Dimensions[1])
	mean := MulScalar(ExpandAxes(ReduceSum(z, -1), -1), 1/d)
	z = Sub(z, mean)
	v := MulScalar(ExpandAxes(ReduceSum(Square(z), -1), -1), 1/d)
	return Mul(z, Reciprocal(Sqrt(AddScalar(v, 1e-5))))
}

// meanState averages each row's z [per, Z] over its aligned positions, of which
// there are counts: [rows, Z].
func meanState(z []float32, counts []int, per, dim int) [][]float32 {
	out := make([][]float32, len(counts))
	for r, n := range counts {
		out[r] = make([]float32, dim)
		n = min(n, per)
		for k := r * per; k < r*per+n; k++ {
			for d := range dim {
				out[r][d] += z[k*dim+d]
			}
		}
		for d := range dim {
			out[r][d] /= float32(max(1, n))
		}
	}
	return out
}

// effectiveRank is how many directions the z [rows·per, Z] of a batch's aligned positions
// fill: (sum of the eigenvalues of their covariance)^2 / sum of the squares, from 1 to Z.
// It is 0 where nothing varies.
func effectiveRank(z []float32, counts []int, per, dim int) float64 {
	var n float64
	mean, cov := make([]float64, dim), make([]float64, dim*dim)
	for r, c := range counts {
		for k := r * per; k < r*per+min(c, per); k++ {
			n++
			for i, a := range z[k*dim : (k+1)*dim] {
				mean[i] += float64(a)
				for j, b := range z[k*dim : (k+1)*dim] {
					cov[i*dim+j] += float64(a) * float64(b)
				}
			}
		}
	}
	var trace, squares float64
	for i := range dim {
		for j := range dim {
			v := cov[i*dim+j]/max(1, n) - mean[i]*mean[j]/max(1, n*n)
			squares += v * v // the sum of the squared eigenvalues is that of the entries
			if i == j {
				trace += v
			}
		}
	}
	if squares == 0 {
		return 0
	}
	return trace * trace / squares
}

// ensembleWeights is gamma_i = softmax_s(w_s · mean_t z_s) for each row; states[s][i]
// is student s's mean state of row i.
func ensembleWeights(w [][]float32, states [][][]float32) [][]float64 {
	rows := len(states[0])
	out := make([][]float64, rows)
	for i := range rows {
		g := make([]float64, len(w))
		for s := range w {
			for d, v := range w[s] {
				g[s] += float64(v) * float64(states[s][i][d])
			}
		}
		softmaxInPlace(g)
		out[i] = g
	}
	return out
}

// softmaxInPlace replaces scores by probabilities.
func softmaxInPlace(x []float64) {
	top := slices.Max(x)
	var sum float64
	for i := range x {
		x[i] = math.Exp(x[i] - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}
