package pretrained

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// big is a checkpoint of 500 MB in bfloat16, with an embedding of a fifth of it.
func big(t testing.TB) string {
	t.Helper()
	c := decoder.Config{Arch: decoder.Llama, Vocab: 50000, Dim: 1024, Layers: 16, Heads: 16, KVHeads: 4, HeadDim: 64, FFN: 3200, MaxSeq: 512, RopeTheta: 1e4, NormEps: 1e-6, Tied: true}
	dir := t.TempDir()
	var ts []safetensors.Tensor
	for _, p := range decoder.Layout(c) {
		for i, name := range p.Sources {
			x := safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: decoder.SourceDims(c, p, i)}
			x.Data = make([]byte, 2*x.Len())
			for j := range x.Len() {
				x.Data[2*j], x.Data[2*j+1] = byte(j), 0x3c
			}
			ts = append(ts, x)
		}
	}
	writeJSON(t, filepath.Join(dir, ConfigFile), c)
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleFile), ts, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// peak reads the highest resident size of the process in bytes since the last reset.
func peak(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("needs /proc")
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	rest, _, _ = strings.Cut(rest, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
	if err != nil {
		t.Skip("VmHWM cannot be read")
	}
	return n << 10
}

// Loading holds at most 1.3 times what stays loaded, and its speed is told beside
// that of reading the file.
func TestLoadLarge(t *testing.T) {
	if os.Getenv("DISTILLFLOW_HEAVY") == "" {
		t.Skip("writes and loads 500 MB: set DISTILLFLOW_HEAVY=1")
	}
	dir := big(t)
	file := filepath.Join(dir, safetensors.SingleFile)
	read := readSpeed(t, file)
	for _, d := range []dtypes.DType{dtypes.BFloat16, dtypes.Float32} {
		runtime.GC()
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // resets VmHWM
			t.Skipf("the peak cannot be reset: %v", err)
		}
		before := peak(t)
		start := time.Now()
		m := openModel(t, dir)
		params, err := m.LoadParams(cpu(t), d)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		var loaded int64
		for _, p := range params {
			loaded += p.ByteSize()
		}
		ratio := float64(peak(t)-before) / float64(loaded)
		speed := float64(m.src.(*checkpoint).ck.Bytes()) / took.Seconds() / 1e6
		t.Logf("%s: %d MB loaded at %.0f MB/s of file, os.ReadFile %.0f MB/s (ratio %.2f); peak %.2f of what is loaded",
			d, loaded/1e6, speed, read, speed/read, ratio)
		if ratio > 1.3 {
			t.Errorf("%s: the peak is %.2f of what is loaded", d, ratio)
		}
		for _, p := range params {
			if err := p.FinalizeAll(); err != nil {
				t.Error(err)
			}
		}
	}
}

// readSpeed reads a whole file into fresh memory, as loading does, in MB/s.
func readSpeed(t testing.TB, name string) float64 {
	t.Helper()
	start := time.Now()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(b)) / time.Since(start).Seconds() / 1e6
}
