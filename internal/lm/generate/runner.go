package generate

import (
	"context"
	"slices"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// runner holds the compiled graphs of one shape.
type runner struct {
	dev                  *device.Device
	m                    Model
	shape                shape
	older                int // slots of decoder.Cache.Older, 0 for none
	prefill, step, flush *Exec
}

// newRunner builds the graphs of a shape.
func newRunner(dev *device.Device, m Model, s shape) (*runner, error) {
	r := &runner{dev: dev, m: m, shape: s}
	if s.fresh > decoder.Block {
		r.older = s.fresh - decoder.Block
	}
	adapters := len(r.args()) - len(m.Params)
	model := func(in []*Node) (*decoder.Model, []*Node) {
		n := len(m.Params)
		all := n + adapters
		d := &decoder.Model{Config: m.Config, Params: in[:n]}
		if m.Bind != nil {
			m.Bind(d, in[:n])
		}
		if m.Delta != nil {
			d.Delta = m.Delta(in[n:all])
		}
		return d, in[all:]
	}
	c := m.Config
	n := 2 * c.Layers
	var err error
	// prefill: ids [R, S], last [R, 1] -> choice, then Prompt, Recent and Older of all layers.
	r.prefill, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		d, in := model(in)
		h, cache := d.Prefill(in[0])
		out := r.choose(d, Gather(h, in[1]))
		for _, c := range cache {
			dims := c.Shape().Dimensions
			out = append(out, Reshape(c, dims[0]*dims[1], dims[2], dims[3]))
		}
		empty := func(slots int) {
			for range n {
				out = append(out, Zeros(h.Graph(), shapes.Make(cache[0].DType(), s.rows*c.KVHeads, slots, c.HeadDim)))
			}
		}
		empty(decoder.Block)
		if r.older > 0 {
			empty(r.older)
		}
		return out
	})
	if err != nil {
		return nil, err
	}
	// step: token [R], tokens of the prompts [R], new positions so far, Prompt, Recent,
	// Older -> choice, Recent.
	r.step, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		d, in := model(in)
		caches := make([]decoder.Cache, c.Layers)
		rest := in[3:]
		for l := range caches {
			pair := func(part int) [2]*Node { return [2]*Node{rest[part*n+2*l], rest[part*n+2*l+1]} }
			caches[l].Prompt, caches[l].Recent = pair(0), pair(1)
			if r.older > 0 {
				caches[l].Older = pair(2)
			}
		}
		h, recent := d.Step(in[0], decoder.Place{Prompt: in[1], New: in[2]}, caches)
		return append(r.choose(d, h), recent...)
	})
	if err != nil || r.older == 0 {
		return r, err
	}
	// flush: block, Recent, Older -> Older.
	r.flush, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		out := make([]*Node, n)
		for i := range out {
			out[i] = decoder.Flush(in[1+n+i], in[1+i], in[0])
		}
		return out
	})
	return r, err
}

// args are the parameters and adapters of a call.
func (r *runner) args() []any {
	if r.m.Adapters == nil {
		return slices.Clone(r.m.Params)
	}
	return slices.Concat(r.m.Params, r.m.Adapters())
}

func (r *runner) finalize() {
	for _, e := range []*Exec{r.prefill, r.step, r.flush} {
		if e != nil {
			e.Finalize()
		}
	}
}

// choose is what the host needs of hidden states [R, D] to pick tokens: the best token and
// its log-probability [R] each, or, to draw, all log-probabilities [R, V].
func (r *runner) choose(d *decoder.Model, hidden *Node) []*Node {
	if r.shape.draw {
		logits := d.Logits(hidden)
		return []*Node{Sub(logits, decoder.LogSumExp(logits))}
	}
	top, at, lse := d.TopLogits(hidden)
	return []*Node{at, Sub(top, lse)}
}

// picked reads what choose computed, as one token and log-probability per row, and
// returns the caches that follow.
func (r *runner) picked(res []*tensors.Tensor, draws []*sampler) (tokens []int32, logp []float32, cache []*tensors.Tensor, err error) {
	if !r.shape.draw {
		if tokens, err = tensors.CopyFlatData[int32](res[0]); err != nil {
			return nil, nil, nil, err
		}
		logp, err = tensors.CopyFlatData[float32](res[1])
		return tokens, logp, res[2:], err
	}
	all, err := tensors.CopyFlatData[float32](res[0])
	if err != nil {
		return nil, nil, nil, err
	}
	v := len(all) / r.shape.rows
	for i := range r.shape.rows {
		row := all[i*v : (i+1)*v]
		t := int32(0)
		if i < len(draws) {
			t = draws[i].draw(row)
		}
		tokens, logp = append(tokens, t), append(logp, row[t])
	}
	return tokens, logp, res[1:], nil
}

// run continues one batch; places are the prompts' places in the whole list.
func (r *runner) run(ctx context.Context, prompts [][]int32, places []int, o Options) ([]Output, error) {
	rows, seq := r.shape.rows, r.shape.seq
	ids := make([]int32, rows*seq)
	last := make([]int32, rows)
	lengths := make([]int32, rows)
	for i := range ids {
		ids[i] = r.m.Pad
	}
	for i := range rows {
		p := prompts[min(i, len(prompts)-1)] // spare rows repeat the last prompt
		copy(ids[i*seq:], p)
		last[i] = int32(i*seq + len(p) - 1)
		lengths[i] = int32(len(p))
	}
	draws := make([]*sampler, len(prompts))
	for i := range draws {
		draws[i] = newSampler(o, places[i])
	}
	args := r.args()
	res, err := r.prefill.Call(append(slices.Clone(args),
		tensors.FromFlatDataAndDimensions(ids, rows, seq),
		tensors.FromFlatDataAndDimensions(last, rows, 1))...)
	if err != nil {
		return nil, err
	}
	prompt := tensors.FromFlatDataAndDimensions(lengths, rows)
	n := 2 * r.m.Config.Layers
	var fixed, older []*tensors.Tensor // Prompt and Older
	out := make([]Output, len(prompts))
	done := make([]bool, len(prompts))
	for open, fresh := len(prompts), 0; ; fresh++ {
		tokens, logp, recent, err := r.picked(res, draws)
		if err != nil {
			return nil, err
		}
		if fresh == 0 {
			fixed, recent, older = recent[:n], recent[n:2*n], recent[2*n:]
		}
		for i := range out {
			if !done[i] && out[i].take(tokens[i], float64(logp[i]), o.room(r.m, prompts[i]), r.m.Ends, o) {
				done[i] = true
				open--
			}
		}
		if open == 0 {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if fresh > 0 && fresh%decoder.Block == 0 {
			call := anys(nil, []*tensors.Tensor{tensors.FromScalar(int32(fresh/decoder.Block - 1))}, recent)
			for _, t := range older {
				donated, err := DonateTensorBuffer(t, r.dev.Backend, 0)
				if err != nil {
					return nil, err
				}
				call = append(call, donated)
			}
			if older, err = r.flush.Call(call...); err != nil {
				return nil, err
			}
		}
		call := append(slices.Clone(args), tensors.FromFlatDataAndDimensions(tokens, rows), prompt, tensors.FromScalar(int32(fresh)))
		if res, err = r.step.Call(anys(call, fixed, recent, older)...); err != nil {
			return nil, err
		}
	}
}

// anys appends tensors to the arguments of a call.
func anys(args []any, lists ...[]*tensors.Tensor) []any {
	for _, l := range lists {
		for _, t := range l {
			args = append(args, t)
		}
	}
	return args
}
