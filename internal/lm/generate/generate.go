// Package generate writes text with a decoder: greedy, in batches, with a cache
// of keys and values.
//
// Shapes are few, because each new shape compiles a graph: prompts are padded to
// one of about eight lengths, and batches to their full size.
package generate

import (
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Model is what generation needs of a language model.
type Model struct {
	Config  decoder.Config
	Params  weights.Set
	Special tokenizer.Special
}

// Options bound a call.
type Options struct {
	MaxNew int // tokens a row may get, the end token included
	Batch  int // rows per graph call; 0 means 64
	// Progress, when set, is called after each batch with the rows done so far.
	Progress func(done, total int)
}

// Output is the continuation of one prompt.
type Output struct {
	IDs      []int32   // without the end token
	LogProbs []float64 // natural log, one per id, and one for the end token when Ended
	Ended    bool      // whether the end token came within MaxNew
}

// Greedy continues each prompt with its most probable token until the end token
// or MaxNew tokens. Prompts must not be empty, and prompt and continuation must
// fit into the model's positions.
func Greedy(ctx context.Context, dev *device.Device, m Model, prompts [][]int32, o Options) ([]Output, error) {
	if o.Batch <= 0 {
		o.Batch = 64
	}
	if o.MaxNew < 1 {
		return nil, fmt.Errorf("generate: at most %d new tokens: must be at least 1", o.MaxNew)
	}
	longest := 0
	for i, p := range prompts {
		if len(p) == 0 {
			return nil, fmt.Errorf("generate: prompt %d is empty", i)
		}
		longest = max(longest, len(p))
	}
	if len(prompts) == 0 {
		return nil, nil
	}
	if longest+o.MaxNew > m.Config.MaxSeq {
		return nil, fmt.Errorf("generate: a prompt of %d tokens and %d new ones exceed the model's %d positions", longest, o.MaxNew, m.Config.MaxSeq)
	}
	rows := min(o.Batch, len(prompts))
	// Prompts of like length share a batch, so that a long one does not stretch the
	// cache of all. With few lengths there are few graphs.
	step := max(8, roundUp(longest/8, 8))
	order := make([]int, len(prompts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(prompts[a]) - len(prompts[b]) })
	out := make([]Output, len(prompts))
	var r *runner
	done := 0
	for chunk := range slices.Chunk(order, rows) {
		batch := make([][]int32, len(chunk))
		for k, i := range chunk {
			batch[k] = prompts[i]
		}
		// The last of a sorted batch is its longest.
		if seq := roundUp(len(batch[len(batch)-1]), step); r == nil || r.seq != seq {
			if r != nil {
				r.finalize()
			}
			var err error
			if r, err = newRunner(dev, m, rows, seq, seq+o.MaxNew); err != nil {
				return nil, fmt.Errorf("generate: %w", err)
			}
		}
		part, err := r.run(ctx, batch, o.MaxNew)
		if err != nil {
			return nil, fmt.Errorf("generate: %w", err)
		}
		for k, i := range chunk {
			out[i] = part[k]
		}
		if done += len(chunk); o.Progress != nil {
			o.Progress(done, len(prompts))
		}
	}
	r.finalize()
	return out, nil
}

func roundUp(n, m int) int { return (n + m - 1) / m * m }

// runner holds the two compiled graphs of one call.
type runner struct {
	dev           *device.Device
	m             Model
	rows, seq     int
	params        []any
	prefill, step *Exec
}

func newRunner(dev *device.Device, m Model, rows, seq, limit int) (*runner, error) {
	r := &runner{dev: dev, m: m, rows: rows, seq: seq, params: m.Params.Args(nil)}
	n := len(m.Params)
	var err error
	// prefill: ids [R, S], last [R, 1] -> token, log-probability, caches.
	r.prefill, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		model := &decoder.Model{Config: m.Config, Params: in[:n]}
		ids, last := in[n], in[n+1]
		h, cache := model.Prefill(ids)
		token, logp := pick(model.Logits(Gather(h, last)))
		for i, c := range cache {
			d := c.Shape().Dimensions
			c = Reshape(c, d[0]*d[1], d[2], d[3])
			if limit > seq {
				c = GrowRight(c, 1, limit-seq, 0)
			}
			cache[i] = c
		}
		return append([]*Node{token, logp}, cache...)
	})
	if err != nil {
		return nil, err
	}
	// step: token [R], pos [R], caches -> the same of the next position.
	r.step, err = NewExec(dev.Backend, func(in []*Node) []*Node {
		model := &decoder.Model{Config: m.Config, Params: in[:n]}
		h, cache := model.Step(in[n], in[n+1], in[n+2:])
		token, logp := pick(model.Logits(h))
		return append([]*Node{token, logp}, cache...)
	})
	return r, err
}

func (r *runner) finalize() {
	r.prefill.Finalize()
	r.step.Finalize()
}

// pick returns the most probable token of logits [R, V] and its log-probability.
func pick(logits *Node) (token, logp *Node) {
	top := ReduceMax(logits, -1)
	lse := Reshape(decoder.LogSumExp(logits), -1)
	return ArgMax(logits, -1, dtypes.Int32), Sub(top, lse)
}

func (r *runner) run(ctx context.Context, prompts [][]int32, maxNew int) ([]Output, error) {
	ids := make([]int32, r.rows*r.seq)
	last := make([]int32, r.rows)
	pos := make([]int32, r.rows)
	for i := range ids {
		ids[i] = r.m.Special.Pad
	}
	for i := range r.rows {
		p := prompts[min(i, len(prompts)-1)] // spare rows repeat the last prompt
		copy(ids[i*r.seq:], p)
		last[i] = int32(i*r.seq + len(p) - 1)
		pos[i] = int32(len(p))
	}
	res, err := r.prefill.Call(append(slices.Clone(r.params),
		tensors.FromFlatDataAndDimensions(ids, r.rows, r.seq),
		tensors.FromFlatDataAndDimensions(last, r.rows, 1))...)
	if err != nil {
		return nil, err
	}
	out := make([]Output, len(prompts))
	ended := make([]bool, len(prompts))
	for n := 0; ; n++ {
		tokens, err := tensors.CopyFlatData[int32](res[0])
		if err != nil {
			return nil, err
		}
		logp, err := tensors.CopyFlatData[float32](res[1])
		if err != nil {
			return nil, err
		}
		open := 0
		for i := range out {
			if ended[i] {
				continue
			}
			out[i].LogProbs = append(out[i].LogProbs, float64(logp[i]))
			if tokens[i] == r.m.Special.EOS {
				ended[i], out[i].Ended = true, true
				continue
			}
			out[i].IDs = append(out[i].IDs, tokens[i])
			open++
		}
		if open == 0 || n+1 >= maxNew {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		args := append(slices.Clone(r.params),
			tensors.FromFlatDataAndDimensions(tokens, r.rows),
			tensors.FromFlatDataAndDimensions(pos, r.rows))
		for _, c := range res[2:] {
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
