package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gomlx/compute/dtypes"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
)

// decode times greedy decoding of j.Rows prompts of j.Seq tokens, fresh tokens each, on a
// random model, and fills r. bandwidth is the device's in GB/s; 0 leaves the share out.
func decode(ctx context.Context, name string, j job, fresh int, bandwidth float64, r *result) error {
	dev, err := device.Open(name)
	if err != nil {
		return err
	}
	r.Device = dev.Platform()
	dtype, err := dtypes.DTypeString(j.DType)
	if err != nil {
		return err
	}
	params, err := random(dev, j.Config, dtype)
	if err != nil {
		return fmt.Errorf("random weights: %w", err)
	}
	g, err := generate.New(dev, generate.Model{Config: j.Config, Params: params})
	if err != nil {
		return err
	}
	defer g.Close()
	prompts := make([][]int32, j.Rows)
	for i := range prompts {
		prompts[i] = j.IDs[i*j.Seq : (i+1)*j.Seq]
	}
	peak := watchMemory(ctx, dev)
	defer peak.stop()
	var took [2]float64
	for i := range took { // the first run compiles
		start := time.Now()
		if _, err := g.Run(ctx, prompts, generate.Options{MaxNew: fresh, Batch: j.Rows}); err != nil {
			return err
		}
		took[i] = time.Since(start).Seconds()
	}
	r.StepSeconds = took[1] / float64(fresh)
	r.TokensPerSec = float64(j.Rows) / r.StepSeconds
	r.CompileSeconds = took[0] - took[1]
	r.PeakBytes, r.PeakOf = peak.stop()
	if bandwidth > 0 {
		r.Bandwidth = stepBytes(j.Config, j.Rows, j.Seq+fresh/2, dtype.Size()) / r.StepSeconds / (bandwidth * 1e9)
	}
	return nil
}

// stepBytes is what a step of decoding must read at the least: every weight once, an
// embedding that is not the head left out, and the keys and values of positions before it.
func stepBytes(c decoder.Config, rows, positions, width int) float64 {
	n := sizeOf(c)
	if !c.Tied {
		n -= c.Vocab * c.Dim
	}
	cache := rows * positions * c.Layers * 2 * c.KVHeads * c.HeadDim
	return float64(n+cache) * float64(width)
}
