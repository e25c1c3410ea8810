package train

import (
	"math"
	"slices"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/causal"
)

// Peer teaching compares what two students, with two tokenizers, think at the same
// place in the text. Two hidden states stand at the same place when their tokens
// end at the same byte of the completion: both have then read exactly the same
// text. Averaging over tokens that overlap would mix in text that the other
// student has not seen.

// alignment lists, for one student, the aligned positions of a batch's rows.
type alignment struct {
	per       int       // positions per row, padded
	positions []int32   // [rows·per] index into the flattened [rows·seq] states
	mask      []float32 // [rows·per] 1 where there is one
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

// makeAlignment lays out the positions of rows for one graph call. Rows without
// positions, and the padding, point at position 0 with mask 0.
func makeAlignment(rows [][]int, total, per, seq int) *alignment {
	a := &alignment{per: per, positions: make([]int32, total*per), mask: make([]float32, total*per)}
	for r, ps := range rows {
		for k, p := range ps[:min(len(ps), per)] {
			a.positions[r*per+k] = int32(r*seq + p)
			a.mask[r*per+k] = 1
		}
	}
	return a
}

// peerInput is a training step's input for peer teaching.
type peerInput struct {
	per     int
	target  []float32 // [paths·per, Z] the ensemble, a constant
	dim     int       // Z
	weights []float32 // of the three terms of peerLosses
	lr      float64   // of the projection
}

// input is the part of a pass over the paths from first on. The terms are means over
// the pass's positions; by its share of the step's they add up to those of the step.
// Variance and covariance are then means of the passes'.
func (p *peerInput) input(a *alignment, first, aligned int) *causal.ExtraInput {
	x := &causal.ExtraInput{Positions: a.positions, Mask: a.mask, Target: make([]float32, len(a.positions)*p.dim)}
	copy(x.Target, p.target[first*p.per*p.dim:])
	var n float32
	for _, m := range a.mask {
		n += m
	}
	share := float32(1)
	if aligned > 0 {
		share = n / float32(aligned)
	}
	for _, w := range p.weights {
		x.Weights = append(x.Weights, share*w)
	}
	return x
}

// project gives z = LayerNorm(Proj h) at positions [N, 1] of states [R·S, D]: [N, Z].
// Without the normalisation a student could satisfy its peers by shrinking.
func project(h, proj, positions *Node) *Node {
	z := DotGeneral(Gather(h, positions), []int{1}, nil, proj, []int{1}, nil)
	d := float64(z.Shape().Dimensions[1])
	mean := MulScalar(ExpandAxes(ReduceSum(z, -1), -1), 1/d)
	z = Sub(z, mean)
	v := MulScalar(ExpandAxes(ReduceSum(Square(z), -1), -1), 1/d)
	return Mul(z, Reciprocal(Sqrt(AddScalar(v, 1e-5))))
}

// peerLosses are, over the positions with mask [N, 1]: the mean squared distance
// to target; and against collapse, since a constant z would satisfy the first, the
// variance and covariance terms of VICReg (Bardes, Ponce and LeCun 2022): mean_d
// relu(1 - sqrt(Var + 1e-4)) and the squared off-diagonal covariance. The floor on
// the variance alone would let all of z follow one direction.
func peerLosses(z, mask, target *Node) (peer, vary, covary *Node) {
	dim := z.Shape().Dimensions[1]
	count := MaxScalar(ReduceAllSum(mask), 1.0)
	peer = Div(ReduceAllSum(Mul(Square(Sub(z, target)), mask)), MulScalar(count, float64(dim)))

	n := Reshape(count, 1, 1)
	mean := Div(ExpandAxes(ReduceSum(Mul(z, mask), 0), 0), n)
	centred := Mul(Sub(z, mean), mask)
	cov := Div(DotGeneral(centred, []int{0}, nil, centred, []int{0}, nil), MaxScalar(AddScalar(n, -1), 1.0))
	eye := Diagonal(z.Graph(), dim)
	variance := ReduceSum(Where(eye, cov, ZerosLike(cov)), -1)
	std := Sqrt(AddScalar(variance, 1e-4))
	vary = MulScalar(ReduceAllSum(MaxScalar(OneMinus(std), 0.0)), 1/float64(dim))
	off := Where(eye, ZerosLike(cov), cov)
	covary = MulScalar(ReduceAllSum(Square(off)), 1/float64(dim))
	return peer, vary, covary
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
