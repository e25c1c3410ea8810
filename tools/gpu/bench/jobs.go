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

// models are shapes to fill with random weights. The numbers of 1b are those of
// Llama-3.2-1B, of 7b those of Mistral-7B-v0.3 without its window.
var models = map[string]decoder.Config{
	"tiny":   {Vocab: 512, Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FFN: 128, Tied: true},
	"small":  {Vocab: 4096, Dim: 256, Layers: 6, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 1024, Tied: true},
	"1b":     {Vocab: 128256, Dim: 2048, Layers: 16, Heads: 32, KVHeads: 8, HeadDim: 64, FFN: 8192, Tied: true},
	"7b-4":   {Vocab: 32768, Dim: 4096, Layers: 4, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336},
	"7b":     {Vocab: 32768, Dim: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336},
	"tiny-8": {Vocab: 512, Dim: 64, Layers: 8, Heads: 4, KVHeads: 2, HeadDim: 16, FFN: 128, Tied: true},
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

// result is what a job measured.
type result struct {
	System         string  `json:"system"`
	Shape          string  `json:"shape"`
	Device         string  `json:"device,omitempty"`
	TokensPerSec   float64 `json:"tokens_per_second,omitempty"`
	StepSeconds    float64 `json:"step_seconds,omitempty"` // the median
	CompileSeconds float64 `json:"compile_seconds,omitempty"`
	PeakBytes      int64   `json:"peak_bytes,omitempty"`
	PeakOf         string  `json:"peak_of,omitempty"`
	PlannedBytes   int64   `json:"planned_bytes,omitempty"` // what XLA planned for the step
	FirstLoss      float64 `json:"first_loss,omitempty"`
	LastLoss       float64 `json:"last_loss,omitempty"`
	Error          string  `json:"error,omitempty"`
}

func writeJobs(names []string, out string, j job) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		c, ok := models[name]
		if !ok {
			return fmt.Errorf("no shape %q; there are %s", name, strings.Join(shapeNames(), ", "))
		}
		c.Arch, c.MaxSeq, c.RopeTheta, c.NormEps, c.InitStd = decoder.Llama, max(j.Seq, 2048), 10000, 1e-5, 0.02
		if err := c.Validate(); err != nil {
			return err
		}
		j.Shape, j.Config, j.Alpha, j.LR = name, c, 2*float64(j.Rank), 1e-4
		j.Targets = []string{"k_proj", "o_proj", "q_proj", "v_proj"}
		j.IDs = make([]int32, j.Rows*j.Seq)
		for i := range j.IDs {
			j.IDs[i] = int32(uint32(i)*2654435761>>7) & 0x7fffffff % int32(c.Vocab)
		}
		j.Params = 0
		for _, p := range decoder.Layout(c) {
			j.Params += weights.Size(p.Dims)
		}
		j.ModelFLOP = modelFLOP(c, j.Rows, j.Seq)
		if err := writeJSON(filepath.Join(out, name+".job.json"), j); err != nil {
			return err
		}
	}
	return nil
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
