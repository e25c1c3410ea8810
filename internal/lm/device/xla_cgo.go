//go:build cgo && (linux || darwin)

package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/go-xla/compute/xla" // needs cgo; loads its plugin at run time
)

// HasXLA tells whether the XLA bindings, which need cgo, are compiled in.
const HasXLA = true

// openXLA opens the plugin that findPlugin returned.
func openXLA(name, plugin string, options ...string) (*Device, error) {
	// The bindings take a relative path for the name of a plugin, and a comma for the
	// beginning of the options.
	plugin, err := filepath.Abs(plugin)
	if err != nil {
		return nil, err
	}
	if strings.Contains(plugin, ",") {
		return nil, fmt.Errorf("XLA plugin %s: a path with a comma cannot be opened: move it, or name another in %s", plugin, PluginPathVar)
	}
	config := "xla:" + strings.Join(append([]string{plugin}, options...), ",")
	b, err := compute.NewWithConfig(config)
	if err != nil {
		return nil, fmt.Errorf("XLA plugin %s: %w", plugin, firstLine(err))
	}
	return &Device{Backend: b, name: name, plugin: plugin}, nil
}

// firstLine drops the stack traces that the bindings put into their messages.
func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// openXLACPU opens XLA's own CPU backend. Its reductions are split over threads,
// so the number of cores is part of the platform.
func openXLACPU(string) (*Device, error) {
	plugin, looked := findPlugin(cpuPlugins, os.Getenv)
	if plugin == "" {
		return nil, missingPlugin("CPU", looked, installCPU)
	}
	d, err := openXLA(XLA, plugin)
	if err != nil {
		return nil, err
	}
	d.platform = fmt.Sprintf("xla-cpu/%s/%s/%d threads", version(d), runtime.GOARCH, runtime.NumCPU())
	return d, nil
}

// openCUDA opens one GPU, by its number among those CUDA_VISIBLE_DEVICES leaves.
func openCUDA(index string) (*Device, error) {
	n, err := strconv.Atoi(index)
	if err != nil {
		return nil, err
	}
	if err := checkVisible(n, os.LookupEnv); err != nil {
		return nil, err
	}
	plugin, looked := findPlugin(cudaPlugins, os.Getenv)
	if plugin == "" {
		return nil, missingPlugin("CUDA", looked, installCUDA)
	}
	if data := cudaData(plugin); data != "" && !strings.Contains(os.Getenv(xlaFlags), cudaDataFlag) {
		if err := os.Setenv(xlaFlags, strings.TrimSpace(os.Getenv(xlaFlags)+" "+cudaDataFlag+data)); err != nil {
			return nil, err
		}
	}
	// Without tf32=false the bindings round float32 factors to 10 bits, which is no
	// float32 any more; bfloat16 work is not affected.
	d, err := openXLA(CUDA+":"+index, plugin, "visible_devices="+index, "tf32=false")
	if err != nil {
		return nil, fmt.Errorf("%w; `nvidia-smi` shows whether the driver and the GPU are there", err)
	}
	model := "gpu"
	if named, ok := d.Backend.(interface {
		DeviceDescription(compute.DeviceNum) string
	}); ok {
		model = named.DeviceDescription(0)
	}
	d.platform = fmt.Sprintf("xla-cuda/%s/%s", version(d), model)
	return d, nil
}

const (
	xlaFlags     = "XLA_FLAGS"
	cudaDataFlag = "--xla_gpu_cuda_data_dir="
)

func missingPlugin(kind string, looked []string, install string) error {
	return fmt.Errorf("no %s plugin for XLA found; install one with `%s`, or name its folder in %s (looked in %s)",
		kind, install, PluginPathVar, strings.Join(looked, ", "))
}
