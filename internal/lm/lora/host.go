package lora

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/vector"
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

// Host describes the adapters to a trainer that runs without a graph.
func (c Config) Host() *decoder.HostAdapters {
	a := &decoder.HostAdapters{Targets: c.Targets, Rank: c.Rank, Scale: float32(c.Scale())}
	if c.Dropout > 0 {
		a.Drop = func(y, x []float32, seed, stream, at uint32) { drop(y, x, seed, stream, at, c.Dropout) }
	}
	return a
}

// drop is dropout of numbers that stand from at on in what the graph flattens.
func drop(y, x []float32, seed, stream, at uint32, p float64) {
	vector.Drop(y, x, at+(stream+1)*0x9E3779B9, seed*0xC2B2AE3D, dropBelow(p), float32(1/(1-p)))
}
