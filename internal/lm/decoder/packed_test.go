package decoder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Examples that share a row have the logits, and give the gradients, that they have in rows
// of their own, in every family and way of computing, whatever stands beside them.
func TestPackedRows(t *testing.T) {
	const rows, seq = 3, 12
	dev := open(t)
	for name, c := range variants {
		for seed := range uint64(2) {
			r := rand.New(rand.NewPCG(seed, 1))
			// Examples fill rows from the left, in any order, with padding behind the last.
			packed, alone := make([]int32, rows*seq), []int32{}
			starts, at := make([]int32, rows*seq), []int32{} // where each position of the examples stands packed
			var lone []int32                                 // and alone
			for row := range rows {
				for col := 0; col < seq; {
					n := min(1+r.IntN(7), seq-col)
					if r.IntN(5) == 0 {
						n = seq - col // padding
						for k := range n {
							starts[row*seq+col+k] = int32(col)
						}
						break
					}
					first := len(alone)
					for k := range n {
						i := row*seq + col + k
						packed[i], starts[i] = int32(r.IntN(c.Vocab)), int32(col)
						alone = append(alone, packed[i])
						at, lone = append(at, int32(i)), append(lone, int32(first+k))
					}
					alone = append(alone, make([]int32, seq-n)...)
					col += n
				}
			}
			set, err := Init(c, seed)
			if err != nil {
				t.Fatal(err)
			}
			run := func(ids, starts, at []int32, plain, recompute bool) (logits []float32, grads [][]float32) {
				t.Helper()
				args := append(set.Args(nil), tensors.FromFlatDataAndDimensions(ids, len(ids)/seq, seq), at)
				if starts != nil {
					args = append(args, tensors.FromFlatDataAndDimensions(starts, rows, seq))
				}
				out, err := MustNewExec(dev.Backend, func(in []*Node) []*Node {
					m := &Model{Config: c, Params: in[:len(set)], Plain: plain, Recompute: recompute}
					if starts != nil {
						m.Starts = in[len(set)+2]
					}
					l := m.Logits(Select(m.Hidden(in[len(set)]), in[len(set)+1]))
					return append([]*Node{l}, Gradient(ReduceAllSum(Sin(l)), m.Params...)...)
				}).Call(args...)
				if err != nil {
					t.Fatal(name, err)
				}
				for _, x := range out[1:] {
					grads = append(grads, tensors.MustCopyFlatData[float32](x))
				}
				return tensors.MustCopyFlatData[float32](out[0]), grads
			}
			for _, way := range []struct{ plain, recompute bool }{{}, {plain: true}, {recompute: true}} {
				want, wantGrads := run(alone, nil, lone, way.plain, way.recompute)
				got, gotGrads := run(packed, starts, at, way.plain, way.recompute)
				on := fmt.Sprintf("%s, seed %d, %+v", name, seed, way)
				if off := farthest(got, want); off > 2e-5 {
					t.Errorf("%s: logits differ by %v", on, off)
				}
				for i, g := range wantGrads {
					if off := farthest(gotGrads[i], g); off > 2e-4 {
						t.Errorf("%s: the gradient of %s differs by %v", on, set[i].Name, off)
					}
				}
			}
		}
	}
}

// The rotary tables of examples that share a row begin anew with each. (Logits cannot tell:
// they depend on distances alone, up to rounding.)
func TestPackedPositions(t *testing.T) {
	r, dim := Rope{Theta: 100}, 4
	cos, sin := r.Values(6, dim)
	starts := []int32{0, 0, 0, 3, 3, 5, 0, 1, 1, 1, 1, 5}
	out, err := MustNewExec(open(t).Backend, func(starts *Node) []*Node {
		x := ropes{}.tables(ConvertDType(starts, dtypes.Float32), r, 6, dim, starts)
		return []*Node{x.cos, x.sin}
	}).Call(tensors.FromFlatDataAndDimensions(starts, 2, 6))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range [][]float32{cos, sin} {
		got := tensors.MustCopyFlatData[float32](out[k])
		for i, s := range starts {
			if at := i%6 - int(s); !slices.Equal(got[i*dim:][:dim], want[at*dim:][:dim]) {
				t.Errorf("column %d of an example that begins at %d: %v, want %v", i%6, s, got[i*dim:][:dim], want[at*dim:][:dim])
			}
		}
	}
}

// farthest is the largest difference between two slices, as a part of 1 or of the largest
// number.
func farthest(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	off, size := 0.0, 1.0
	for i, v := range b {
		off, size = max(off, math.Abs(float64(a[i]-v))), max(size, math.Abs(float64(v)))
	}
	return off / size
}
