// Package generate writes text with a decoder: greedy or sampled, in batches, with
// a cache of keys and values.
//
// Shapes are few, because each new shape compiles a graph: prompts are padded to
// one of about eight lengths, and batches to their full size. Rows are padded on
// the right, and each row writes at its own position, so padding is never seen.
package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// Model is what generation needs of a language model.
type Model struct {
	Config decoder.Config
	// Params are the arguments of a graph call that hold the parameters: tensors on the
	// host or on the device. Bind gives their nodes to the decoder; nil means that they
	// are the parameters in the order of [decoder.Layout].
	Params []any
	Bind   func(d *decoder.Model, in []*Node)
	// Adapters are further arguments, and Delta makes of their nodes what
	// [decoder.Model] adds to its projections; nil without adapters.
	Adapters []any
	Delta    func(adapters []*Node) func(layer int, target string, x *Node) *Node

	Pad  int32   // fills rows
	Ends []int32 // tokens that end a text
}

// Options bound a call.
type Options struct {
	MaxNew int // tokens a row may get, the end token included
	Batch  int // rows per graph call; 0 means 64

	// Temperature 0 takes the most probable token. Above 0 tokens are drawn, from the
	// TopK most probable ones (0: all) whose probabilities reach TopP together (0 or
	// 1: all; Holtzman et al. 2020).
	Temperature float64
	TopK        int
	TopP        float64
	// Seed and a prompt's place in the list decide its draws, whatever the batches.
	Seed uint64
	// Seeds, when set, decide each prompt's draws alone, whatever its place: for prompts
	// that come together by chance.
	Seeds []uint64

	// Stop ends a row whose text, by Decode, holds one of these strings.
	Stop   []string
	Decode func(ids []int32) string

	// Progress, when set, is called after each batch with the rows done so far.
	Progress func(done, total int)
}

func (o Options) check() error {
	switch {
	case o.MaxNew < 1:
		return fmt.Errorf("at most %d new tokens: must be at least 1", o.MaxNew)
	case !(o.Temperature >= 0) || !(o.TopP >= 0 && o.TopP <= 1) || o.TopK < 0:
		return fmt.Errorf("temperature %g, top_p %g, top_k %d: want a temperature of at least 0, top_p from 0 to 1 and a top_k of at least 0", o.Temperature, o.TopP, o.TopK)
	case len(o.Stop) > 0 && o.Decode == nil:
		return errors.New("stop strings need a way to decode tokens")
	}
	return nil
}

// Output is the continuation of one prompt.
type Output struct {
	IDs []int32 // without the end token
	// LogProbs are natural logs by the model itself (temperature 1, all tokens), one
	// per id, and one for the end token when Ended.
	LogProbs []float64
	Ended    bool // whether an end token came within MaxNew
	// Stopped is the stop string that ended the row, or "". IDs then reach to the
	// token that completed it.
	Stopped string
}

// Run continues each prompt until an end token, a stop string or MaxNew tokens.
// Prompts must not be empty, and prompt and continuation must fit into the model's
// positions.
func Run(ctx context.Context, dev *device.Device, m Model, prompts [][]int32, o Options) ([]Output, error) {
	if o.Batch <= 0 {
		o.Batch = 64
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
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
	if o.Seeds != nil && len(o.Seeds) != len(prompts) {
		return nil, fmt.Errorf("generate: %d seeds for %d prompts", len(o.Seeds), len(prompts))
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
			if r, err = newRunner(dev, m, rows, seq, seq+o.MaxNew, o); err != nil {
				return nil, fmt.Errorf("generate: %w", err)
			}
		}
		part, err := r.run(ctx, batch, chunk)
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
