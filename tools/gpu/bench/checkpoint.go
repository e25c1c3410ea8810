package main

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// writeCheckpoint writes a shape with random bfloat16 weights as a published model, with
// the tokenizer of one that lies in the repository.
func writeCheckpoint(shape, repo, dir string) (err error) {
	c, err := shapeOf(shape, 0)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	from := filepath.Join(repo, "stages", "train", "testdata", "train-sft", "basic", "model")
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := checkpoint.WriteJSON(filepath.Join(dir, checkpoint.ConfigFile), c); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, checkpoint.WeightsFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var tensors []safetensors.Tensor
	for _, p := range decoder.Layout(c) {
		for k, name := range p.Sources {
			tensors = append(tensors, safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: decoder.SourceDims(c, p, k)})
		}
	}
	// One stretch of numbers, over and over: drawing each would take longer than the run.
	rng := rand.New(rand.NewPCG(1, 2))
	stretch := bytesOf(1<<20, func() float64 { return c.InitStd * rng.NormFloat64() })
	norm := 1.0
	if c.Arch == decoder.Gemma {
		norm = 0 // what a norm multiplies by, less 1
	}
	err = safetensors.WriteStream(w, tensors, map[string]string{"format": "pt"}, func(t safetensors.Tensor, w io.Writer) error {
		if len(t.Shape) == 1 {
			_, err := w.Write(bytesOf(t.Shape[0], func() float64 { return norm }))
			return err
		}
		for n := 2 * weights.Size(t.Shape); n > 0; n -= len(stretch) {
			if _, err := w.Write(stretch[:min(n, len(stretch))]); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, w.Flush())
}

// bytesOf are n numbers in bfloat16, little-endian.
func bytesOf(n int, next func() float64) []byte {
	out := make([]byte, 0, 2*n)
	for range n {
		v := safetensors.ToBF16(float32(next()))
		out = append(out, byte(v), byte(v>>8))
	}
	return out
}
