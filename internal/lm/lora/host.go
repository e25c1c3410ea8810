package lora

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// LowRank is what the adapters s, in the order of [Init], add to a projection where a
// decoder runs without a graph, or nil. It shares the memory of s.
func (c Config) LowRank(s weights.Set, layer int, target string) *decoder.LowRank {
	i := slices.Index(c.Targets, target)
	if i < 0 {
		return nil
	}
	k := 2 * (layer*len(c.Targets) + i)
	return &decoder.LowRank{A: s[k].Data, B: s[k+1].Data, Rank: c.Rank, Scale: float32(c.Scale())}
}
