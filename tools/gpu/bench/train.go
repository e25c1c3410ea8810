package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/nf4"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// random fills a model's parameters on the device, so that a host with little memory
// can measure a large model. The numbers are uniform with the deviation of a fresh
// model; norms are 1.
func random(dev *device.Device, c decoder.Config, dtype dtypes.DType) ([]any, error) {
	made := map[string]*Exec{}
	defer func() {
		for _, e := range made {
			e.Finalize()
		}
	}()
	var out []any
	for i, p := range decoder.Layout(c) {
		key := fmt.Sprint(p.Dims)
		if made[key] == nil {
			e, err := NewExec(dev.Backend, func(seed *Node) *Node {
				return ConvertDType(randomNode(seed, c.InitStd, p.Dims), dtype)
			})
			if err != nil {
				return nil, err
			}
			made[key] = e
		}
		t, err := made[key].Call1(uint32(i + 1))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// randomNode hashes every position with the finaliser of MurmurHash3.
func randomNode(seed *Node, std float64, dims []int) *Node {
	g := seed.Graph()
	if len(dims) == 1 {
		return Ones(g, shapes.Make(dtypes.Float32, dims...))
	}
	scalar := func(v uint32) *Node { return Const(g, v) }
	h := Add(Iota(g, shapes.Make(dtypes.Uint32, weights.Size(dims)), 0), Mul(seed, scalar(0x9E3779B9)))
	for _, by := range []uint32{0x85EBCA6B, 0xC2B2AE35} {
		h = Mul(BitwiseXor(h, BitwiseShiftRightLogical(h, scalar(16))), scalar(by))
	}
	h = BitwiseXor(h, BitwiseShiftRightLogical(h, scalar(16)))
	u := AddScalar(DivScalar(ConvertDType(h, dtypes.Float32), 1<<32), -0.5)
	return Reshape(MulScalar(u, std*math.Sqrt(12)), dims...)
}

// frozen is a random base, with quantize in 4 bits.
func frozen(dev *device.Device, c decoder.Config, dtype dtypes.DType, quantize bool) (causal.Base, error) {
	if !quantize {
		params, err := random(dev, c, dtype)
		return causal.Plain(dev, c, params), err
	}
	// One stretch of numbers serves every tensor: what they are does not change the time.
	rng := rand.New(rand.NewPCG(1, 2))
	var data []float32
	dims := map[string][]int{}
	for _, p := range decoder.Layout(c) {
		for k, name := range p.Sources {
			dims[name] = decoder.SourceDims(c, p, k)
			for range weights.Size(dims[name]) - len(data) {
				data = append(data, float32(c.InitStd*rng.NormFloat64()))
			}
		}
	}
	q, err := nf4.Load(c, func(name string) ([]float32, []int, error) {
		return data[:weights.Size(dims[name])], dims[name], nil
	})
	if err != nil {
		return causal.Base{}, err
	}
	args := q.Args(nil, dtype)
	for _, a := range args {
		t := a.(*tensors.Tensor)
		if dev.Backend.HasSharedBuffers() {
			break
		}
		if err := t.MaterializeOnDevice(dev.Backend, false, 0); err != nil {
			return causal.Base{}, err
		}
		t.FinalizeLocal()
	}
	return causal.Base{Device: dev, Config: c, Args: args, Bind: func(d *decoder.Model, in []*Node) { q.Bind(d, in, dtype) }}, nil
}

// train runs a job and fills r.
func train(ctx context.Context, name string, j job, quantize bool, r *result) error {
	plan := watchCompiler()
	dev, err := device.Open(name)
	if err != nil {
		return err
	}
	r.Device = dev.Platform()
	dtype, err := dtypes.DTypeString(j.DType)
	if err != nil {
		return err
	}
	base, err := frozen(dev, j.Config, dtype, quantize)
	if err != nil {
		return fmt.Errorf("random weights: %w", err)
	}
	l, err := lora.Config{Rank: j.Rank, Alpha: j.Alpha, Targets: j.Targets}.Resolve()
	if err != nil {
		return err
	}
	adapters, err := lora.Init(j.Config, l, 1)
	if err != nil {
		return err
	}
	tuner, err := causal.NewTuner(adapters, causal.TunerOptions{
		Bases: []causal.Base{base}, LoRA: &l, Recompute: true,
	})
	if err != nil {
		return err
	}
	opt := optim.NewAdamW(adapters, slices.Repeat([]bool{true}, len(adapters)))
	labels, w := nextTokens(j.IDs, nil, j.Seq)
	batch := causal.Batch{Rows: j.Rows, Seq: j.Seq, IDs: j.IDs, Labels: labels, Weight: w}
	peak := watchMemory(ctx, dev)
	defer peak.stop()
	var took []float64
	for step := range j.Steps + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		loss, err := step1(tuner, opt, batch, j.LR)
		if err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		if step == 0 {
			r.FirstLoss, r.CompileSeconds = loss, time.Since(start).Seconds()
			continue
		}
		took = append(took, time.Since(start).Seconds())
		r.LastLoss = loss
	}
	slices.Sort(took)
	if len(took) > 0 {
		r.StepSeconds = took[len(took)/2]
		r.TokensPerSec = float64(len(j.IDs)) / r.StepSeconds
		r.CompileSeconds -= r.StepSeconds // the first step compiles and runs
	}
	r.PeakBytes, r.PeakOf = peak.stop()
	r.PlannedBytes = plan()
	return nil
}

// step1 is one optimizer step, by the code that the program trains with.
func step1(t *causal.Tuner, opt *optim.AdamW, b causal.Batch, lr float64) (float64, error) {
	r, err := t.Gradients(b)
	if err != nil {
		return 0, err
	}
	_, err = opt.Step(t.Trained, r.Grads, lr)
	return r.Terms[0], err
}

// nextTokens gives every position the token after it as its label and an equal
// weight; the last of a row, and tokens whose mask is 0, have none.
func nextTokens(ids []int32, mask []float32, seq int) (labels []int32, w []float32) {
	labels, w = make([]int32, len(ids)), make([]float32, len(ids))
	var n float32
	for i := range ids {
		if i%seq+1 == seq {
			continue
		}
		labels[i], w[i] = ids[i+1], 1
		if mask != nil {
			w[i] = mask[i+1]
		}
		n += w[i]
	}
	for i := range w {
		w[i] /= n
	}
	return labels, w
}

// memoryPeak is a peak being watched.
type memoryPeak struct {
	done chan struct{}
	wait func() error
	of   string
	last int64
}

// watchMemory follows the memory in use: the GPU's as a whole, or this process's.
func watchMemory(ctx context.Context, dev *device.Device) *memoryPeak {
	p := &memoryPeak{done: make(chan struct{}), of: "process"}
	if !dev.IsGPU() {
		return p
	}
	p.of = "GPU, by nvidia-smi"
	p.wait = parallel.Start(func() error {
		for {
			p.last = max(p.last, dev.Used(ctx))
			select {
			case <-p.done:
				return nil
			case <-time.After(300 * time.Millisecond):
			}
		}
	})
	return p
}

// stop ends the watch; a second call repeats the answer.
func (p *memoryPeak) stop() (int64, string) {
	select {
	case <-p.done:
		return p.last, p.of
	default:
		close(p.done)
	}
	if p.wait == nil {
		p.last = highWater()
	} else if err := p.wait(); err != nil {
		p.of = err.Error()
	}
	return p.last, p.of
}

// highWater is the most memory this process has had, in bytes; 0 if not told.
func highWater() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
