package causal

import (
	"context"
	"fmt"
	"os"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/nf4"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// NF4 is the value of [Options.Quantize] for 4-bit weights (QLoRA, Dettmers et al.
// 2023).
const NF4 = "nf4"

// MemoryCheckVar is the environment variable that switches the estimate of memory
// off when it is "off".
const MemoryCheckVar = "DISTILLFLOW_MEMORY_CHECK"

// load places the frozen weights of p on a device.
func load(dev *device.Device, p *pretrained.Model, o Options) (Base, error) {
	dtype := o.dtype()
	if o.Quantize == NF4 {
		return loadNF4(dev, p, dtype)
	}
	params, err := p.LoadParams(dev, dtype)
	if err != nil {
		return Base{}, err
	}
	args := make([]any, len(params))
	for i, t := range params {
		args[i] = t
	}
	return Plain(dev, p.Config, args), nil
}

func (o Options) dtype() dtypes.DType {
	if o.BF16 {
		return dtypes.BFloat16
	}
	return dtypes.Float32
}

// lossTokens is how many positions' logits exist at a time; 0 for all.
func lossTokens(j pretrained.Job, vocab int) int {
	switch {
	case j.LoRA == nil:
		return 0
	case j.NoGraph:
		return decoder.HostLossRows(vocab)
	default:
		return lossRows(vocab)
	}
}

// fits refuses a job that needs more memory than is free on the device. host tells
// the host's.
func fits(ctx context.Context, dev *device.Device, ref string, c decoder.Config, o Options, host func() int64) error {
	job := o.Job
	job.DType, job.NoGraph = o.dtype(), !dev.IsXLA()
	job.LossTokens = lossTokens(job, c.Vocab)
	switch o.Quantize {
	case "":
	case NF4:
		job.WeightBits = nf4.Bits
	default:
		return fmt.Errorf("model %s: quantisation %q is unknown: there is %s", ref, o.Quantize, NF4)
	}
	if os.Getenv(MemoryCheckVar) == "off" {
		return nil
	}
	if err := pretrained.Needs(c, job).Fits(ref, dev.Name(), dev.Free(ctx, host), job); err != nil {
		return fmt.Errorf("%w (%s=off tries all the same)", err, MemoryCheckVar)
	}
	return nil
}

// loadNF4 quantises the weights one tensor after the other and moves them to the
// device, where the device does not share the host's memory.
func loadNF4(dev *device.Device, p *pretrained.Model, dtype dtypes.DType) (Base, error) {
	q, err := nf4.Load(p.Config, p.Float32)
	if err != nil {
		return Base{}, fmt.Errorf("model %s: %w", p.Ref, err)
	}
	b := Base{Device: dev, Config: p.Config, Bind: func(d *decoder.Model, in []*Node) { q.Bind(d, in, dtype) }}
	if !dev.IsXLA() {
		b.host, b.lazy = q.Host(), func() []any { return q.Args(nil, dtype) }
		return b, nil
	}
	args := q.Args(nil, dtype)
	if !dev.Backend.HasSharedBuffers() {
		for _, a := range args {
			if err := toDevice(dev, a.(*tensors.Tensor)); err != nil {
				return Base{}, fmt.Errorf("model %s does not fit on %s: %w", p.Ref, dev.Name(), err)
			}
		}
	}
	q.Forget()
	b.Args = args
	return b, nil
}

// toDevice leaves a tensor's values on the device alone.
func toDevice(dev *device.Device, t *tensors.Tensor) error {
	if err := t.MaterializeOnDevice(dev.Backend, false, 0); err != nil {
		return err
	}
	t.FinalizeLocal()
	return nil
}
