package decoder

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// Stepping with a cache must give what the whole sequence gives at once, over several
// blocks and from prompts of two lengths.
func TestStepMatchesWholeSequence(t *testing.T) {
	for name, c := range variants {
		t.Run(name, func(t *testing.T) {
			const rows, seq, slots, blocks = 2, 2*Block + 7, 5, 2
			lengths := []int32{2, 5}
			p, err := Init(c, 11)
			if err != nil {
				t.Fatal(err)
			}
			ids, labels, w := randomBatch(c, rows, seq)
			_, _, want := lossAndGrads(t, c, p, false, ids, labels, w, rows, seq)
			backend := open(t).Backend
			n := 2 * c.Layers
			prefill, err := NewExec(backend, func(in []*Node) []*Node {
				m := &Model{Config: c, Params: in[:len(p)]}
				_, cache := m.Prefill(in[len(p)])
				for i, x := range cache {
					cache[i] = Reshape(x, rows*c.KVHeads, slots, c.HeadDim)
				}
				return cache
			})
			if err != nil {
				t.Fatal(err)
			}
			step, err := NewExec(backend, func(in []*Node) []*Node {
				m := &Model{Config: c, Params: in[:len(p)]}
				in = in[len(p):]
				caches := make([]Cache, c.Layers)
				pair := func(part, l int) [2]*Node { return [2]*Node{in[3+part*n+2*l], in[3+part*n+2*l+1]} }
				for l := range caches {
					caches[l] = Cache{pair(0, l), pair(1, l), pair(2, l)}
				}
				h, recent := m.Step(in[0], Place{in[1], in[2]}, caches)
				top, at, lse := m.TopLogits(h)
				return append([]*Node{m.Logits(h), top, at, lse}, recent...)
			})
			if err != nil {
				t.Fatal(err)
			}
			flush, err := NewExec(backend, func(older, recent, block *Node) *Node { return Flush(older, recent, block) })
			if err != nil {
				t.Fatal(err)
			}
			empty := func(slots int) (out []*tensors.Tensor) {
				for range n {
					out = append(out, tensors.FromFlatDataAndDimensions(make([]float32, rows*c.KVHeads*slots*c.HeadDim), rows*c.KVHeads, slots, c.HeadDim))
				}
				return out
			}
			var first []int32
			for r := range rows {
				first = append(first, ids[r*seq:r*seq+slots]...) // the shorter prompt's padding is not read
			}
			prompt, err := prefill.Call(append(p.Args(nil), tensors.FromFlatDataAndDimensions(first, rows, slots))...)
			if err != nil {
				t.Fatal(err)
			}
			older, recent := empty(blocks*Block), empty(Block)
			for s := range seq - slots {
				if s > 0 && s%Block == 0 {
					for i := range older {
						out, err := flush.Call(older[i], recent[i], int32(s/Block-1))
						if err != nil {
							t.Fatal(err)
						}
						older[i] = out[0]
					}
				}
				var token []int32
				for r, n := range lengths {
					token = append(token, ids[r*seq+int(n)+s])
				}
				args := append(p.Args(nil), token, lengths, int32(s))
				for _, x := range slices.Concat(prompt, older, recent) {
					args = append(args, x)
				}
				out, err := step.Call(args...)
				if err != nil {
					t.Fatal(err)
				}
				recent = out[4:]
				got := tensors.MustCopyFlatData[float32](out[0])
				top, lse := tensors.MustCopyFlatData[float32](out[1]), tensors.MustCopyFlatData[float32](out[3])
				at := tensors.MustCopyFlatData[int32](out[2])
				for r, n := range lengths {
					row := got[r*c.Vocab:][:c.Vocab]
					compare(t, name, s, row, want[(r*seq+int(n)+s)*c.Vocab:])
					best, where := vector.Max(row)
					sum := math.Log(vector.SumExp(row, best)) + float64(best)
					if int(at[r]) != where || math.Abs(float64(top[r]-best)) > 1e-5 || math.Abs(float64(lse[r])-sum) > 1e-5 {
						t.Fatalf("step %d row %d: top %v at %d of %v, want %v at %d of %v", s, r, top[r], at[r], lse[r], best, where, sum)
					}
				}
			}
		})
	}
}

func compare(t *testing.T, name string, step int, got, want []float32) {
	t.Helper()
	for v := range got {
		if math.Abs(float64(got[v]-want[v])) > 1e-4 {
			t.Fatalf("%s: step %d logit %d: %v by step, %v at once", name, step, v, got[v], want[v])
		}
	}
}

// Without a graph, too, and bit by bit the same however the tokens come and whatever the
// number of goroutines.
func TestHostMatchesWholeSequence(t *testing.T) {
	for name, c := range variants {
		t.Run(name, func(t *testing.T) {
			const rows, seq = 3, 45
			p, err := Init(c, 11)
			if err != nil {
				t.Fatal(err)
			}
			ids, labels, w := randomBatch(c, rows, seq)
			_, _, want := lossAndGrads(t, c, p, false, ids, labels, w, rows, seq)
			params := make([]HostParam, len(p))
			for i := range p {
				params[i].F32 = p[i].Data
			}
			h, err := NewHost(c, params)
			if err != nil {
				t.Fatal(err)
			}
			var before []float32
			for cut, most := range []int{1, 7, seq} {
				run := h.Start(1+cut, nil)
				defer run.Stop()
				r := rand.New(rand.NewPCG(1, 2))
				seqs := []*Sequence{{}, {}, {}}
				hidden := make([]float32, vector.Rows*c.Dim)
				logits := make([]float32, rows*seq*c.Vocab)
				for {
					var some []*Sequence
					var tokens [][]int32
					var which []int
					for i, s := range seqs {
						if n := min(1+r.IntN(most), seq-s.Len()); n > 0 && r.IntN(3) > 0 {
							some, which = append(some, s), append(which, i)
							tokens = append(tokens, ids[i*seq+s.Len():][:n])
						}
					}
					if err := run.Feed(some, tokens, hidden); err != nil {
						t.Fatal(err)
					}
					run.Logits(hidden, len(some), func(_, from, to int, scores []float32, stride int) {
						for k, i := range which {
							copy(logits[(i*seq+some[k].Len()-1)*c.Vocab+from:], scores[k*stride:][:to-from])
						}
					})
					for k, i := range which {
						at := (i*seq + some[k].Len() - 1) * c.Vocab
						compare(t, name, some[k].Len(), logits[at:][:c.Vocab], want[at:])
					}
					if seqs[0].Len()+seqs[1].Len()+seqs[2].Len() == rows*seq {
						break
					}
				}
				if before == nil { // every position by itself
					before = logits
				}
				for i, v := range logits {
					if v != 0 && v != before[i] {
						t.Fatalf("logit %d: %v and %v", i, before[i], v)
					}
				}
			}
		})
	}
}

func TestHostRefuses(t *testing.T) {
	c := variants["llama"]
	p, err := Init(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	params := make([]HostParam, len(p))
	for i := range p {
		params[i].F32 = p[i].Data
	}
	h, err := NewHost(c, params)
	if err != nil {
		t.Fatal(err)
	}
	run := h.Start(1, nil)
	defer run.Stop()
	for _, id := range []int32{-1, int32(c.Vocab)} {
		if err := run.Feed([]*Sequence{{}}, [][]int32{{id}}, make([]float32, vector.Rows*c.Dim)); err == nil {
			t.Errorf("token %d was accepted", id)
		}
	}
	if _, err := NewHost(c, params[1:]); err == nil {
		t.Error("a missing parameter was accepted")
	}
	params[1].F32 = params[1].F32[1:]
	if _, err := NewHost(c, params); err == nil {
		t.Error("a short parameter was accepted")
	}
}
