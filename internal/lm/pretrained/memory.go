package pretrained

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gomlx/compute/dtypes"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Job is what a model is loaded for.
type Job struct {
	DType dtypes.DType // of the weights
	// WeightBits is how many bits a weight of a matrix in the layers takes when the base
	// is quantised; 0 means as DType says.
	WeightBits float64
	LoRA       *lora.Config // adapters that train, resolved; nil means none
	Full       bool         // every weight trains
	Rows, Seq  int          // of a batch; for generation with the new tokens
	Prompt     int          // for generation: tokens that are read at once; 0 means Seq
	Recompute  bool         // activations of a layer are computed again for its gradient
	// LossTokens is how many tokens' logits exist at a time; 0 means all of a batch.
	LossTokens int
	// NoGraph says that training is [decoder.HostTrainer]'s, whose buffers are known.
	NoGraph bool
}

// unpacked is how many arrays of a quantised base's matrices live at the peak of a
// training step by a graph that does not recompute, by measurement.
const unpacked = 4

// Need is an estimate of memory in bytes, by what takes it.
type Need struct {
	Weights, Adapters, Optimizer, Activations, Cache, Logits int64
}

// Total is the sum.
func (n Need) Total() int64 {
	return n.Weights + n.Adapters + n.Optimizer + n.Activations + n.Cache + n.Logits
}

// trains reports whether a job needs gradients.
func (j Job) trains() bool { return j.LoRA != nil || j.Full }

// Needs estimates what a job takes on its device. It counts what the graph of the
// decoder must hold at once: the weights; for training also adapters with their
// gradients and two moments in float32, the input of every layer, the inside of one
// layer (of all without Recompute) and the logits with their gradient; for
// generation the keys and values of all positions. Buffers of the compiler come on
// top, by experience a tenth. docs/decisions/0012-memory-estimate.md has figures.
func Needs(c decoder.Config, j Job) Need {
	var n Need
	width := int64(j.DType.Size())
	var count, packed int64
	for _, p := range decoder.Layout(c) {
		size := int64(weights.Size(p.Dims))
		count += size
		if j.WeightBits > 0 && len(p.Dims) == 2 && strings.Contains(p.Name, ".layers.") {
			n.Weights += int64(float64(size) * j.WeightBits / 8)
			packed += size
		} else {
			n.Weights += size * width
		}
	}
	if j.Full {
		n.Optimizer = count * 12 // gradient and two moments
	}
	if j.LoRA != nil {
		var adapters int64
		for _, t := range j.LoRA.Targets {
			if out, in, ok := decoder.TargetDims(c, t); ok {
				adapters += int64(j.LoRA.Rank) * int64(out+in)
			}
		}
		adapters *= int64(c.Layers)
		n.Adapters, n.Optimizer = 4*adapters, n.Optimizer+12*adapters
	}
	if j.Prompt < 1 || j.Prompt > j.Seq || j.trains() {
		j.Prompt = j.Seq
	}
	tokens := int64(j.Rows) * int64(j.Prompt)
	d, h, g, f := int64(c.Dim), int64(c.Heads*c.HeadDim), int64(c.KVHeads*c.HeadDim), int64(c.FFN)
	// Inside of a layer: two norms, queries twice (before and after the rotation), keys
	// and values, attention's output, gate, up and their product; the scores in float32.
	inside := tokens * (2*d + 3*h + 4*g + 3*f + 2*d) * width
	scores := int64(j.Rows) * int64(c.Heads) * int64(j.Prompt) * int64(j.Prompt) * 4
	lossTokens := tokens
	if j.LossTokens > 0 {
		lossTokens = min(lossTokens, int64(j.LossTokens))
	}
	if !j.trains() {
		n.Activations = inside + scores
		n.Cache = int64(c.Layers) * int64(j.Rows) * int64(j.Seq) * 2 * g * width
		n.Logits = int64(j.Rows) * int64(c.Vocab) * 4
		return n
	}
	layers := int64(c.Layers)
	if j.NoGraph {
		// Attention's inputs and output, the residual stream behind it, gate and up.
		features := c.Features()
		kept := h + 2*g + h + d + 2*f
		if features.QKNorm {
			kept += h + g
		}
		if features.SandwichNorm {
			kept += 2 * d
		}
		if !j.Recompute {
			kept *= layers
		}
		// And once: final states, norms and outputs with their gradients, the product of gate
		// and up, and attention's inputs.
		kept += 6*d + 2*f + h + 2*g
		n.Activations = 4 * tokens * (kept + (layers+1)*d)
		n.Logits = lossTokens * int64(c.Vocab) * 4
		return n
	}
	if j.Recompute {
		n.Activations = layers*tokens*d*width + 2*(inside+scores)
	} else {
		n.Activations = layers*(inside+scores) + inside + scores
	}
	n.Logits = 2 * lossTokens * int64(c.Vocab) * 4
	if !j.Recompute {
		n.Activations += unpacked * packed * width
	}
	return n
}

// Fits says what to change when a job needs more memory than is free. where names
// the device; free is in bytes, and 0 or less means that it is not known, which
// refuses nothing.
func (n Need) Fits(name, where string, free int64, j Job) error {
	const compiler = 1.1
	need := int64(float64(n.Total()) * compiler)
	if free <= 0 || need <= free {
		return nil
	}
	var what []string
	largest := func(part int64) bool { return 4*part > n.Total() }
	if j.trains() && j.LoRA == nil {
		what = append(what, "train adapters (lora) instead of all weights")
	}
	if largest(n.Weights) && j.DType == dtypes.Float32 && j.WeightBits == 0 {
		what = append(what, "load it in bfloat16, which halves the weights")
	}
	if largest(n.Weights) && j.WeightBits == 0 && j.LoRA != nil {
		what = append(what, "quantise the base to 4 bits, which leaves a quarter of its bfloat16 weights")
	}
	if j.trains() && !j.Recompute && largest(n.Activations) {
		what = append(what, "turn gradient checkpointing on")
	}
	if largest(n.Activations+n.Cache+n.Logits) && j.Rows > 1 {
		what = append(what, fmt.Sprintf("make batches smaller than %d rows", j.Rows))
	}
	if largest(n.Activations+n.Cache+n.Logits) && j.Seq > 256 {
		what = append(what, fmt.Sprintf("make sequences shorter than %d tokens", j.Seq))
	}
	what = append(what, "take a smaller model or a device with more memory")
	return fmt.Errorf("%s needs about %s on %s, %s free (weights %s, adapters and optimizer %s, activations %s, cache %s, logits %s): %s",
		name, gib(need), where, gib(free), gib(n.Weights), gib(n.Adapters+n.Optimizer), gib(n.Activations), gib(n.Cache), gib(n.Logits), strings.Join(what, "; or "))
}

func gib(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// HostFree is how much memory the host can still give, in bytes, within the limit of
// its control group; 0 where that is not told.
func HostFree() int64 {
	free := int64(0)
	if f, err := os.Open("/proc/meminfo"); err == nil {
		free = available(f)
		_ = f.Close() // only read
	}
	limit, used := number("/sys/fs/cgroup/memory.max"), number("/sys/fs/cgroup/memory.current")
	if room := limit - used; limit > 0 && (free == 0 || room < free) {
		free = max(room, 1)
	}
	return free
}

// available reads MemAvailable out of /proc/meminfo.
func available(r io.Reader) int64 {
	for s := bufio.NewScanner(r); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

func number(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
