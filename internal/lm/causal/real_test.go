package causal

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// A real checkpoint gives transformers' logits and its greedy text.
// tools/oracle/decoder/real.py makes what this compares with.
func TestRealCheckpoint(t *testing.T) {
	dir, golden := os.Getenv("DISTILLFLOW_MODEL_DIR"), os.Getenv("DISTILLFLOW_MODEL_GOLDEN")
	if dir == "" || golden == "" {
		t.Skip("set DISTILLFLOW_MODEL_DIR and DISTILLFLOW_MODEL_GOLDEN; tools/oracle/decoder/real.py says how")
	}
	f, err := safetensors.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := func(name string) []float32 {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ints := func(v []float32) (out []int32) {
		for _, x := range v {
			out = append(out, int32(x))
		}
		return out
	}
	name := os.Getenv("DISTILLFLOW_DEVICE")
	if name == "" {
		name = device.CPU
	}
	dev, err := device.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(context.Background(), dev, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids, want := ints(read("ids")), read("logits")
	n := len(want) / m.Config.Vocab
	e, err := NewExec(dev.Backend, func(in []*Node) []*Node {
		d := &decoder.Model{Config: m.Config, Params: in[:len(m.base.Args)]}
		h := d.Hidden(in[len(m.base.Args)])
		return []*Node{d.Logits(Slice(h, AxisRange(len(ids)-n, len(ids)), AxisRange()))}
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Call(append(slices.Clone(m.base.Args), tensors.FromFlatDataAndDimensions(ids, 1, len(ids)))...)
	if err != nil {
		t.Fatal(err)
	}
	got := tensors.MustCopyFlatData[float32](out[0])
	var worst, sum, squares float64
	for i := range want {
		d := math.Abs(float64(got[i] - want[i]))
		worst = max(worst, d)
		sum += float64(want[i])
		squares += float64(want[i]) * float64(want[i])
	}
	mean := sum / float64(len(want))
	spread := math.Sqrt(squares/float64(len(want)) - mean*mean)
	t.Logf("logits differ by %.3g; their standard deviation is %.3g", worst, spread)
	if worst > 1e-3*spread {
		t.Errorf("logits differ by %.3g, a thousandth of their standard deviation is %.3g", worst, spread/1000)
	}
	wantNew, gaps := ints(read("new")), read("gaps")
	res, err := m.Generate(context.Background(), [][]int32{ids}, generate.Options{MaxNew: len(wantNew)})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%q", m.Tokenizer.Decode(res[0].IDs))
	for i, id := range res[0].IDs {
		if gaps[i] < 1e-3 {
			break // from here on either continuation is right
		}
		if id != wantNew[i] {
			t.Errorf("token %d: %d, transformers %d with a gap of %g", i, id, wantNew[i], gaps[i])
			break
		}
	}
}
