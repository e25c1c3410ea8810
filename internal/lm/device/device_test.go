package device

import (
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func TestOpen(t *testing.T) {
	a, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(resolve(Auto))
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("auto and %s are two devices", b.Name())
	}
	if a, err = Open(CPU); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(noInstallVar) == "" {
		t.Error("plugins may still be downloaded")
	}
	if a.Platform() == "" || !strings.HasPrefix(a.Platform(), "go/") {
		t.Errorf("platform %q", a.Platform())
	}
	if _, err := Open("tpu"); err == nil || !strings.Contains(err.Error(), CPU) {
		t.Errorf("unknown device: %v", err)
	}
	if names := Names(); !slices.Contains(names, CPU) || !slices.IsSorted(names) {
		t.Errorf("names %v", names)
	}
}

// The worker pool must be off: it is what can hang, and what could make results
// depend on the number of cores.
func TestPoolIsOff(t *testing.T) {
	d, err := Open(CPU)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := d.Backend.(interface{ Description() string })
	if !ok || !strings.Contains(b.Description(), "parallelism=0") {
		t.Errorf("the backend says %q: want parallelism=0", b.Description())
	}
}

// Graphs that run side by side give what each gives alone.
func TestConcurrentRunsAgree(t *testing.T) {
	d, err := Open(CPU)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 128*128)
	for i := range x {
		x[i] = float32(i%13) * 0.1
	}
	run := func() []float32 {
		e, err := NewExec(d.Backend, func(a *Node) *Node { return Softmax(MatMul(a, a), -1) })
		if err != nil {
			t.Error(err)
			return nil
		}
		var out []float32
		for range 5 {
			res, err := e.Call1(tensors.FromFlatDataAndDimensions(x, 128, 128))
			if err != nil {
				t.Error(err)
				return nil
			}
			out = tensors.MustCopyFlatData[float32](res)
		}
		return out
	}
	want := run()
	got := make(chan []float32)
	for range 4 {
		go func() { got <- run() }()
	}
	for range 4 {
		if !slices.Equal(<-got, want) {
			t.Error("a concurrent run gave other numbers")
		}
	}
}
