package generate

import (
	"context"
	"slices"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// runner holds the two compiled graphs of one shape.
type runner struct {
	dev           *device.Device
	m             Model
	o             Options
	rows, seq     int
	args          []any
	prefill, step *Exec
}

// newRunner builds graphs for rows of up to seq prompt tokens and limit in all.
func newRunner(dev *device.Device, m Model, rows, seq, limit int, o Options) (*runner, error) {
	r := &runner{dev: dev, m: m, o: o, rows: rows, seq: seq, args: slices.Concat(m.Params, m.Adapters)}
	model := func(in []*Node) (*decoder.Model, []*Node) {
		n, all := len(m.Params), len(r.args)
		d := &decoder.Model{Config: m.Config, Params: in[:n]}
		if m.Bind != nil {
			m.Bind(d, in[:n])
		}
		if m.Delta != nil {
			d.Delta = m.Delta(in[n:all])
		}
		return d, in[all:]
	}
	var err error
	// prefill: ids [R, S], last [R, 1] -> choice, caches.
	r.prefill, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		d, in := model(in)
		h, cache := d.Prefill(in[0])
		out := r.choose(d.Logits(Gather(h, in[1])))
		for _, c := range cache {
			dims := c.Shape().Dimensions
			c = Reshape(c, dims[0]*dims[1], dims[2], dims[3])
			if limit > seq {
				c = GrowRight(c, 1, limit-seq, 0)
			}
			out = append(out, c)
		}
		return out
	})
	if err != nil {
		return nil, err
	}
	// step: token [R], pos [R], caches -> the same of the next position.
	r.step, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		d, in := model(in)
		h, cache := d.Step(in[0], in[1], in[2:])
		return append(r.choose(d.Logits(h)), cache...)
	})
	return r, err
}

func (r *runner) finalize() {
	r.prefill.Finalize()
	r.step.Finalize()
}

// choose is what the host needs of logits [R, V] to pick tokens: the best token and
// its log-probability [R] each, or, to draw, all log-probabilities [R, V].
func (r *runner) choose(logits *Node) []*Node {
	lse := decoder.LogSumExp(logits)
	if r.o.Temperature > 0 {
		return []*Node{Sub(logits, lse)}
	}
	top := ReduceMax(logits, -1)
	return []*Node{ArgMax(logits, -1, dtypes.Int32), Sub(top, Reshape(lse, -1))}
}

// picked reads what choose computed, as one token and log-probability per row, and
// returns the caches that follow.
func (r *runner) picked(res []*tensors.Tensor, draws []*sampler) (tokens []int32, logp []float32, cache []*tensors.Tensor, err error) {
	if r.o.Temperature <= 0 {
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
	v := len(all) / r.rows
	for i := range r.rows {
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
func (r *runner) run(ctx context.Context, prompts [][]int32, places []int) ([]Output, error) {
	ids := make([]int32, r.rows*r.seq)
	last := make([]int32, r.rows)
	pos := make([]int32, r.rows)
	for i := range ids {
		ids[i] = r.m.Pad
	}
	for i := range r.rows {
		p := prompts[min(i, len(prompts)-1)] // spare rows repeat the last prompt
		copy(ids[i*r.seq:], p)
		last[i] = int32(i*r.seq + len(p) - 1)
		pos[i] = int32(len(p))
	}
	draws := make([]*sampler, len(prompts))
	for i := range draws {
		draws[i] = newSampler(r.o, places[i])
	}
	res, err := r.prefill.Call(append(slices.Clone(r.args),
		tensors.FromFlatDataAndDimensions(ids, r.rows, r.seq),
		tensors.FromFlatDataAndDimensions(last, r.rows, 1))...)
	if err != nil {
		return nil, err
	}
	out := make([]Output, len(prompts))
	done := make([]bool, len(prompts))
	for n := 0; ; n++ {
		tokens, logp, cache, err := r.picked(res, draws)
		if err != nil {
			return nil, err
		}
		open := 0
		for i := range out {
			if done[i] {
				continue
			}
			out[i].LogProbs = append(out[i].LogProbs, float64(logp[i]))
			if slices.Contains(r.m.Ends, tokens[i]) {
				done[i], out[i].Ended = true, true
				continue
			}
			out[i].IDs = append(out[i].IDs, tokens[i])
			if out[i].Stopped = r.o.stopped(out[i].IDs); out[i].Stopped != "" {
				done[i] = true
				continue
			}
			open++
		}
		if open == 0 || n+1 >= r.o.MaxNew {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		args := append(slices.Clone(r.args),
			tensors.FromFlatDataAndDimensions(tokens, r.rows),
			tensors.FromFlatDataAndDimensions(pos, r.rows))
		for _, c := range cache {
			donated, err := DonateTensorBuffer(c, r.dev.Backend, 0)
			if err != nil {
				return nil, err
			}
			args = append(args, donated)
		}
		if res, err = r.step.Call(args...); err != nil {
			return nil, err
		}
		for i := range pos {
			pos[i]++
		}
	}
}
