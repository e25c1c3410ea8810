// Package generate writes text with a decoder: greedy or sampled, in batches, with
// a cache of keys and values.
//
// On the pure-Go device it runs [decoder.Host]: no graph, nothing padded, and a row that
// ends gives its place to the next prompt. Elsewhere, and for parameters that only a graph
// can read, it runs two graphs, one for prompts and one for a step. Their shapes are few,
// because each new one is compiled: rows, prompts and caches are padded to sizes on one
// ladder, and a [Generator] keeps what it compiled. Rows are padded on the right, and
// each row writes at its own position, so padding is never seen.
package generate

import (
	"context"
	"errors"
	"fmt"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Model is what generation needs of a language model.
type Model struct {
	Config decoder.Config
	// Params are the arguments of a graph call that hold the parameters: tensors on the
	// host or on the device. Bind gives their nodes to the decoder; nil means that they
	// are the parameters in the order of [decoder.Layout].
	Params []any
	Bind   func(d *decoder.Model, in []*Node)
	// Host are the parameters where no graph is used; nil means that Params are they.
	Host []decoder.HostParam
	// Adapters gives further arguments at each call, and Delta makes of their nodes what
	// [decoder.Model] adds to its projections; nil without adapters. LowRank is the same
	// where no graph is used; when it is nil, adapters need graphs.
	Adapters func() []any
	Delta    func(adapters []*Node) func(layer int, target string, x *Node) *Node
	LowRank  func(layer int, target string) *decoder.LowRank

	Pad  int32   // fills rows
	Ends []int32 // tokens that end a text
}

// Adapt gives the model LoRA adapters. Calls use them as they are by then: s may be
// trained between calls.
func (m *Model) Adapt(c lora.Config, s weights.Set) {
	m.Adapters = func() []any { return s.Args(nil) }
	m.Delta = func(in []*Node) func(int, string, *Node) *Node { return lora.Delta(c, in, nil) }
	m.LowRank = func(layer int, target string) *decoder.LowRank { return c.LowRank(s, layer, target) }
}

// Options bound a call.
type Options struct {
	MaxNew int // tokens a row may get, the end token included; the model's positions end it, too
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

	// More, when set, is asked before each step for prompts that take the places that are
	// free, at most room of them. Their rows follow those of the list. Generators that use
	// graphs do not ask.
	More func(room int) []Prompt
	// Each, when set, gets each row when it ends.
	Each func(row int, o Output)

	// Progress, when set, is called after each batch with the rows done so far.
	Progress func(done, total int)
}

// Prompt is a text to continue and the seed of its draws.
type Prompt struct {
	IDs  []int32
	Seed uint64
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
	Ended    bool // whether an end token came in time
	// Stopped is the stop string that ended the row, or "". IDs then reach to the
	// token that completed it.
	Stopped string
}

// check says what is wrong with the prompts of a call.
func (o Options) checkPrompts(m Model, prompts [][]int32) error {
	for i, p := range prompts {
		switch {
		case len(p) == 0:
			return fmt.Errorf("prompt %d is empty", i)
		case len(p) >= m.Config.MaxSeq:
			return fmt.Errorf("prompt %d has %d tokens: the model's %d positions leave no room for an answer", i, len(p), m.Config.MaxSeq)
		}
	}
	if o.Seeds != nil && len(o.Seeds) != len(prompts) {
		return fmt.Errorf("%d seeds for %d prompts", len(o.Seeds), len(prompts))
	}
	return nil
}

// room is how many tokens the row of a prompt may get.
func (o Options) room(m Model, prompt []int32) int { return min(o.MaxNew, m.Config.MaxSeq-len(prompt)) }

// Generator continues prompts with one model, call after call: what a call compiled serves
// the next ones. It is safe for concurrent use while nothing changes the parameters.
type Generator struct {
	dev   *device.Device
	m     Model
	host  *decoder.Host // or nil, and then graphs
	cache cache
}

// New makes the generator of a model on a device. Where parameters lie in the memory of the
// host as they are, it computes there without graphs.
func New(dev *device.Device, m Model) (*Generator, error) {
	g := &Generator{dev: dev, m: m}
	var err error
	if g.host, err = hostOf(dev, m); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	return g, nil
}

// Close frees what calls compiled. No call may be under way; a later one compiles again.
func (g *Generator) Close() { g.cache.clear() }

// Parallel reports whether one call uses all processors, so that calls side by side gain
// nothing.
func (g *Generator) Parallel() bool { return g.host != nil || g.dev.IsXLA() }

// Run continues each prompt until an end token, a stop string, MaxNew tokens or the last of
// the model's positions. A prompt must not be empty, nor fill the positions.
func (g *Generator) Run(ctx context.Context, prompts [][]int32, o Options) (out []Output, err error) {
	if o.Batch <= 0 {
		o.Batch = 64
	}
	if err = o.check(); err == nil {
		err = o.checkPrompts(g.m, prompts)
	}
	switch {
	case err != nil || len(prompts) == 0:
	case g.host != nil:
		out, err = g.runHost(ctx, prompts, o)
	default:
		out, err = g.runGraphs(ctx, prompts, o)
	}
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	return out, nil
}
