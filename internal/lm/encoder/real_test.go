package encoder

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// realTexts reads DISTILLFLOW_ENCODER, a sentence encoder's folder, and
// DISTILLFLOW_ENCODER_REFERENCE, a folder with texts.jsonl and what
// tools/oracle/encoder/make.py --reference made of them.
func realTexts(t testing.TB) (dir, ref string, texts []string) {
	t.Helper()
	dir, ref = os.Getenv("DISTILLFLOW_ENCODER"), os.Getenv("DISTILLFLOW_ENCODER_REFERENCE")
	if dir == "" || ref == "" {
		t.Skip("set DISTILLFLOW_ENCODER and DISTILLFLOW_ENCODER_REFERENCE: see CONTRIBUTING.md")
	}
	f, err := os.Open(filepath.Join(ref, "texts.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s string
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, s)
	}
	if lines.Err() != nil || len(texts) == 0 {
		t.Fatalf("%d texts, %v", len(texts), lines.Err())
	}
	return dir, ref, texts
}

// A real sentence encoder equals transformers, pooled and normalised.
func TestRealEncoder(t *testing.T) {
	dir, ref, texts := realTexts(t)
	for _, dev := range devices(t) {
		s, err := Load(dir, dev)
		if err != nil {
			t.Fatal(err)
		}
		want, dims := readFloats(t, filepath.Join(ref, "embeddings.safetensors"))("embeddings")
		if dims[0] != len(texts) || dims[1] != s.Dim() {
			t.Fatalf("embeddings %v for %d texts", dims, len(texts))
		}
		got, err := s.Encode(texts)
		if err != nil {
			t.Fatal(err)
		}
		d := apart(slices.Concat(got...), want)
		if d > tolerance {
			t.Errorf("%s: embeddings differ by %.3g", dev.Name(), d)
		}
		t.Logf("%s: %d texts, embeddings differ by %.2g", dev.Name(), len(texts), d)
	}
}

// BenchmarkRealEncoder measures whole calls of Encode, tokenizer included.
func BenchmarkRealEncoder(b *testing.B) {
	dir, _, texts := realTexts(b)
	for _, dev := range devices(b) {
		b.Run(dev.Name(), func(b *testing.B) {
			s, err := Load(dir, dev)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Encode(texts); err != nil { // compiles
				b.Fatal(err)
			}
			best := time.Duration(1 << 62)
			for b.Loop() {
				start := time.Now()
				if _, err := s.Encode(texts); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(len(texts))/best.Seconds(), "texts/s-best")
		})
	}
}
