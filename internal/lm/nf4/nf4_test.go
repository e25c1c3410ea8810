package nf4

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/blockwise"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// goldens are what bitsandbytes computes; tools/oracle/nf4/make.py writes them.
func goldens(t testing.TB) (weights.Set, []string) {
	t.Helper()
	set, err := checkpoint.ReadFile(filepath.Join("testdata", "nf4.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range set {
		if name, ok := strings.CutSuffix(x.Name, ".codes"); ok {
			names = append(names, name)
		}
	}
	if len(names) < 8 {
		t.Fatalf("golden cases %v", names)
	}
	return set, names
}

func find(t testing.TB, s weights.Set, name string) weights.Tensor {
	t.Helper()
	i := s.Find(name)
	if i < 0 {
		t.Fatalf("golden has no %q", name)
	}
	return s[i]
}

func TestLevelsEqualBitsandbytes(t *testing.T) {
	set, _ := goldens(t)
	for name, got := range map[string][]float32{
		"levels": Levels[:], "signed": blockwise.Signed()[:], "unsigned": blockwise.Unsigned()[:],
	} {
		for i, want := range find(t, set, name).Data {
			if got[i] != want {
				t.Errorf("%s[%d] = %v, bitsandbytes has %v", name, i, got[i], want)
			}
		}
	}
}

// nearMiddle reports whether v stands within rounding of the middle of two levels.
func nearMiddle(v float32) bool {
	for _, b := range bounds {
		if math.Abs(float64(v)-float64(b)) < 1e-6 {
			return true
		}
	}
	return false
}

func TestCodesEqualBitsandbytes(t *testing.T) {
	set, names := goldens(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			w := find(t, set, name+".weight")
			q, err := Quantize(name, w.Dims, w.Data)
			if err != nil {
				t.Fatal(err)
			}
			absmax, codes := find(t, set, name+".absmax").Data, find(t, set, name+".codes").Data
			if len(codes) != len(q.Codes) {
				t.Fatalf("%d bytes of codes, want %d", len(q.Codes), len(codes))
			}
			for i, v := range w.Data {
				got, want := q.Codes[i/2]>>(4*(1-i%2))&15, uint8(codes[i/2])>>(4*(1-i%2))&15
				if got != want && !nearMiddle(v/absmax[i/Block]) {
					t.Fatalf("weight %d: code %d, bitsandbytes %d", i, got, want)
				}
			}
			for i, want := range find(t, set, name+".scales").Data {
				if d := math.Abs(float64(q.Scales[i]) - float64(want)); d > 1 {
					t.Errorf("scale %d: code %d, bitsandbytes %v", i, q.Scales[i], want)
				}
			}
			if want := find(t, set, name+".offset").Data[0]; math.Abs(float64(q.Offset-want)) > 1e-6*float64(want) {
				t.Errorf("offset %v, want %v", q.Offset, want)
			}
			within(t, q.Values(nil), find(t, set, name+".dequantised").Data)
			for _, dev := range devices(t) {
				within(t, onDevice(t, dev, q, dtypes.Float32), find(t, set, name+".dequantised").Data)
				within(t, onDevice(t, dev, q, dtypes.BFloat16), find(t, set, name+".dequantised_bf16").Data)
			}
		})
	}
}

// within fails where values differ by more than one unit of bfloat16's last place.
func within(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range got {
		a, b := int32(safetensors.ToBF16(got[i])), int32(safetensors.ToBF16(want[i]))
		if d := a - b; d < -1 || d > 1 {
			t.Fatalf("value %d: %v, bitsandbytes %v", i, got[i], want[i])
		}
	}
}

func devices(t testing.TB) []*device.Device {
	t.Helper()
	d, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	all := []*device.Device{d}
	if x, err := device.Open(device.XLA); err == nil {
		all = append(all, x)
	} else {
		t.Logf("without XLA: %v", err)
	}
	return all
}

// onDevice dequantises q in a graph.
func onDevice(t *testing.T, dev *device.Device, q *Tensor, dtype dtypes.DType) []float32 {
	t.Helper()
	alone := &Packed{Dims: q.Dims, Parts: []*Tensor{q}}
	e, err := NewExec(dev.Backend, func(in []*Node) *Node {
		return ConvertDType(alone.weights(in[0], in[1], in[2], nil, dtype), dtypes.Float32)
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Call(alone.args(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])
}

func TestQuantizeRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		dims []int
		data []float32
		want string
	}{
		"nan":      {[]int{2}, []float32{1, nan}, "NaN"},
		"infinite": {[]int{2}, []float32{1, float32(math.Inf(1))}, "Inf"},
		"shape":    {[]int{3}, []float32{1, 2}, "shape"},
		"empty":    {[]int{0}, nil, "shape"},
	} {
		_, err := Quantize("some.weight", c.dims, c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "some.weight") {
			t.Errorf("%s: error %v, want one with %q that names the tensor", name, err, c.want)
		}
	}
}

// Stretches that are quantised side by side give what one alone gives, and of two broken
// numbers the first is told.
func TestQuantizeStretches(t *testing.T) {
	data := make([]float32, 9<<12*Block+7)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = float32(rng.NormFloat64())
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	alone, err := Quantize("x", []int{len(data)}, data)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GOMAXPROCS(4)
	got, err := Quantize("x", []int{len(data)}, data)
	if err != nil || !reflect.DeepEqual(got, alone) {
		t.Errorf("%v, or other numbers", err)
	}
	for _, block := range []int{8 << 12, 5 << 12} {
		data[block*Block] = float32(math.NaN())
	}
	if _, err = Quantize("x", []int{len(data)}, data); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("block %d;", 5<<12)) {
		t.Errorf("%v", err)
	}
}
