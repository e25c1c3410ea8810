package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// models are shapes to fill with random weights: mistral has the numbers of
// Mistral-7B-v0.3 without its window, gemma those of Gemma-7B. The end of a name says
// how many layers are left of a model.
var models = map[string]decoder.Config{
	"mistral":      mistral(32),
	"mistral-4":    mistral(4),
	"gemma":        gemma(28),
	"gemma-3":      gemma(3),
	"tiny-mistral": {Arch: decoder.Mistral, Vocab: 512, Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FFN: 128},
	"tiny-gemma":   {Arch: decoder.Gemma, Vocab: 640, Dim: 48, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, FFN: 192, Tied: true},
}

func mistral(layers int) decoder.Config {
	return decoder.Config{Arch: decoder.Mistral, Vocab: 32768, Dim: 4096, Layers: layers, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336}
}

func gemma(layers int) decoder.Config {
	return decoder.Config{Arch: decoder.Gemma, Vocab: 256000, Dim: 3072, Layers: layers, Heads: 16, KVHeads: 16, HeadDim: 256, FFN: 24576, Tied: true}
}

// shapeOf is a shape for sequences of seq tokens.
func shapeOf(name string, seq int) (decoder.Config, error) {
	c, ok := models[name]
	if !ok {
		return c, fmt.Errorf("no shape %q; there are %s", name, strings.Join(shapeNames(), ", "))
	}
	c.MaxSeq, c.RopeTheta, c.NormEps, c.InitStd = max(seq, 2048), 10000, 1e-5, 0.02
	return c, c.Validate()
}

func shapeNames() []string { return slices.Sorted(maps.Keys(models)) }

// job is one measurement, for this program and for baseline.py.
type job struct {
	Shape     string         `json:"shape"`
	Config    decoder.Config `json:"config"` // as in a config.json
	Rows      int            `json:"rows"`
	Seq       int            `json:"seq"`
	Steps     int            `json:"steps"`
	Rank      int            `json:"rank"`
	Alpha     float64        `json:"alpha"`
	Targets   []string       `json:"targets"`
	LR        float64        `json:"lr"`
	DType     string         `json:"dtype"`
	IDs       []int32        `json:"ids"` // [rows*seq], no padding; the same at every step
	Params    int            `json:"params"`
	ModelFLOP float64        `json:"model_flop"` // of one step
}

// result is what was measured of one shape and system.
type result struct {
	Work           string  `json:"work"` // training, decoding, routing or parity
	System         string  `json:"system"`
	Shape          string  `json:"shape"`
	Batch          string  `json:"batch,omitempty"` // rows x tokens
	Params         int     `json:"params,omitempty"`
	Device         string  `json:"device,omitempty"`
	TokensPerSec   float64 `json:"tokens_per_second,omitempty"`
	StepSeconds    float64 `json:"step_seconds,omitempty"` // the median
	CompileSeconds float64 `json:"compile_seconds,omitempty"`
	PeakBytes      int64   `json:"peak_bytes,omitempty"`
	PeakOf         string  `json:"peak_of,omitempty"`
	PlannedBytes   int64   `json:"planned_bytes,omitempty"` // what XLA planned for the step
	FirstLoss      float64 `json:"first_loss,omitempty"`
	LastLoss       float64 `json:"last_loss,omitempty"`
	Bandwidth      float64 `json:"bandwidth,omitempty"` // of decoding: bytes a second that must be read, over the device's
	Note           string  `json:"note,omitempty"`
	Error          string  `json:"error,omitempty"`
}

// batch is a job's rows and tokens, as the table has them.
func (j job) batch() string { return fmt.Sprintf("%dx%d", j.Rows, j.Seq) }

func writeJobs(names []string, out string, j job) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		c, err := shapeOf(name, j.Seq)
		if err != nil {
			return err
		}
		j.Shape, j.Config, j.Alpha, j.LR = name, c, 2*float64(j.Rank), 1e-4
		j.Targets = []string{"k_proj", "o_proj", "q_proj", "v_proj"}
		j.IDs = make([]int32, j.Rows*j.Seq)
		for i := range j.IDs {
			j.IDs[i] = int32(uint32(i)*2654435761>>7) & 0x7fffffff % int32(c.Vocab)
		}
		j.Params = sizeOf(c)
		j.ModelFLOP = modelFLOP(c, j.Rows, j.Seq)
		if err := writeJSON(filepath.Join(out, name+".job.json"), j); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf is how many parameters a decoder has.
func sizeOf(c decoder.Config) (n int) {
	for _, p := range decoder.Layout(c) {
		n += weights.Size(p.Dims)
	}
	return n
}

// modelFLOP counts what a training step of adapters on a frozen model must compute:
// for every token 2 operations a weight forward and 2 backward (a frozen weight needs
// no gradient of its own), and for attention two products over half of the positions
// forward, and twice that backward. Computing activations again is not counted, nor
// are the adapters. It follows PaLM (Chowdhery et al. 2022, appendix B) but for the
// frozen weights.
func modelFLOP(c decoder.Config, rows, seq int) float64 {
	var matrices float64
	for i, p := range decoder.Layout(c) {
		if len(p.Dims) == 2 && (i > 0 || c.Tied) {
			matrices += float64(weights.Size(p.Dims))
		}
	}
	tokens := float64(rows) * float64(seq)
	attention := 3 * 2 * 2 * tokens * float64(seq) / 2 * float64(c.Layers*c.Heads*c.HeadDim)
	return 4*matrices*tokens + attention
}
