package gguf

import (
	"os"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// A published model has the tensors and the configuration that transformers makes
// of it: DISTILLFLOW_GGUF names the file, DISTILLFLOW_GGUF_HF a folder that
// transformers has converted it to, in bf16.
func TestReal(t *testing.T) {
	path, dir := os.Getenv("DISTILLFLOW_GGUF"), os.Getenv("DISTILLFLOW_GGUF_HF")
	if path == "" || dir == "" {
		t.Skip("set DISTILLFLOW_GGUF to a GGUF file and DISTILLFLOW_GGUF_HF to its conversion by transformers (CONTRIBUTING.md)")
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := f.Weights()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	for _, name := range ref.Names() {
		x, err := ref.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(want))
		if err := w.Read(name, got, 0); err != nil {
			t.Fatal(err)
		}
		if shape, err := w.Shape(name); err != nil || !slices.Equal(shape, x.Shape) {
			t.Fatalf("%s: shape %v, want %v", name, shape, x.Shape)
		}
		for i := range got {
			if bf := safetensors.ToBF16(got[i]); bf != safetensors.ToBF16(want[i]) {
				t.Fatalf("%s: number %d is %v, want %v", name, i, got[i], want[i])
			}
		}
	}
	t.Logf("%d tensors agree", len(ref.Names()))
	ours, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	a, err := decoder.ParseHF(ours)
	if err != nil {
		t.Fatal(err)
	}
	b, err := decoder.ParseHF(theirs)
	if err != nil {
		t.Fatal(err)
	}
	fa, fb := a.Features(), b.Features()
	if !slices.Equal(fa.Sliding, fb.Sliding) {
		t.Errorf("windows of layers %v, want %v", fa.Sliding, fb.Sliding)
	}
	a.Given, b.Given, fa.Sliding, fb.Sliding = nil, nil, nil, nil
	if a != b {
		t.Errorf("configuration %+v, want %+v", a, b)
	}
	if fa.Rope != fb.Rope || fa.SlidingRope != fb.SlidingRope || fa.Window != fb.Window || fa.QueryScale != fb.QueryScale ||
		fa.AttnCap != fb.AttnCap || fa.LogitCap != fb.LogitCap || fa.Act != fb.Act || fa.EmbedScale != fb.EmbedScale {
		t.Errorf("features %+v, want %+v", fa, fb)
	}
}
