package device

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// FindPlugin looks for the plugin of a kind of device, XLA or CUDA. It returns the
// plugin's file, "" when there is none, the folders it looked in until then, and the
// command that installs one.
func FindPlugin(kind string) (path string, looked []string, install string) {
	patterns, install := cpuPlugins, installCPU
	if kind == CUDA {
		patterns, install = cudaPlugins, installCUDA
	}
	path, looked = findPlugin(patterns, os.Getenv)
	return path, looked, install
}

// The packages of the Python index that carry a plugin.
const (
	installCPU  = "pip install lammps-jax-pjrt-cpu"
	installCUDA = `pip install "jax[cuda13]"`
)

// Probe multiplies two size×size float32 matrices on the device and returns the
// speed in floating-point operations a second, the best of a few runs. A wrong product is
// an error.
func (d *Device) Probe(size int) (flops float64, err error) {
	if !d.IsXLA() {
		return probeHost(size)
	}
	e, err := NewExec(d.Backend, func(g *Graph) *Node {
		shape := shapes.Make(dtypes.Float32, size, size)
		// Rows of 0, 1/size, ..: every row of the product has equal elements.
		x := DivScalar(Iota(g, shape, 0), float64(size))
		y := MatMul(x, Ones(g, shape))
		return Slice(y, AxisElem(-1), AxisRange(0, 1))
	})
	if err != nil {
		return 0, err
	}
	defer e.Finalize()
	best := time.Duration(0)
	for i := range 4 {
		start := time.Now()
		out, err := e.Call()
		if err != nil {
			return 0, err
		}
		got, err := tensors.CopyFlatData[float32](out[0])
		if err != nil {
			return 0, err
		}
		if want := float32(size - 1); len(got) != 1 || got[0] < 0.99*want || got[0] > 1.01*want {
			return 0, errors.New("the device multiplies wrongly: see whether its driver and plugin belong together")
		}
		// The first run compiles.
		if took := time.Since(start); i > 0 && (best == 0 || took < best) {
			best = took
		}
	}
	return speed(size, best), nil
}

func speed(size int, took time.Duration) float64 {
	n := float64(size)
	return 2 * n * n * n / max(took.Seconds(), 1e-9)
}

// probeHost is Probe with the products that models on the pure-Go device are made of, on
// all cores.
func probeHost(size int) (flops float64, err error) {
	var m [3]vector.View[float32]
	for i := range m {
		m[i] = vector.View[float32]{Data: make([]float32, size*size), Rows: size, Cols: size, Stride: size}
	}
	for i := range m[0].Data {
		m[0].Data[i], m[1].Data[i] = float32(i/size)/float32(size), 1
	}
	team := vector.NewTeam(0)
	defer team.Stop()
	best := time.Duration(0)
	for i := range 4 {
		start := time.Now()
		vector.NN(team, m[2], m[0], m[1], false)
		if took := time.Since(start); i > 0 && (best == 0 || took < best) {
			best = took
		}
	}
	if got, want := m[2].Data[len(m[2].Data)-1], float32(size-1); got < 0.99*want || got > 1.01*want {
		return 0, errors.New("the processor multiplies wrongly")
	}
	return speed(size, best), nil
}

// Version is that of the XLA plugin, "" for the pure-Go backend.
func (d *Device) Version() string {
	if d.plugin == "" {
		return ""
	}
	return version(d)
}

// version is the plugin's version out of its description, "PJRT plugin (path) v0.1 ...".
func version(d *Device) string {
	described, ok := d.Backend.(interface{ Description() string })
	if !ok {
		return "unknown"
	}
	for _, f := range strings.Fields(described.Description()) {
		if len(f) > 1 && f[0] == 'v' && f[1] >= '0' && f[1] <= '9' {
			return f
		}
	}
	return "unknown"
}
