// Package device opens the compute backend that language models run on and
// names its numeric platform.
//
// Two runs on the same numeric platform, with the same seed, give the same bits;
// on different platforms they may differ in the last digits, and after some
// hundred optimizer steps in everything. [Device.Platform] is therefore part of
// the cache key of everything that was computed on a device.
package device

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // the pure-Go backend, always compiled in
	"golang.org/x/sys/cpu"

	_ "github.com/distillflow/distillflow/internal/lm/device/quiet" // the bindings log to standard error otherwise
)

// Names that [Open] accepts.
const (
	Auto = "auto" // a GPU where plugin and driver are there, else XLA's CPU backend where its plugin is, else CPU
	CPU  = "cpu"  // the processor, with the pure-Go backend for graphs
	XLA  = "xla"  // XLA on the CPU; needs a plugin
	CUDA = "cuda" // XLA on the first GPU; cuda:N is the one numbered N
)

// noInstallVar keeps the XLA bindings from downloading plugins on their own.
const noInstallVar = "GOMLX_NO_AUTO_INSTALL"

// Device is an open backend. It is safe for concurrent use: several goroutines
// may run graphs on it at the same time.
type Device struct {
	Backend compute.Backend

	name     string
	platform string
	plugin   string
}

// Plugin is the file of the XLA plugin, "" for the pure-Go backend.
func (d *Device) Plugin() string { return d.plugin }

// IsGPU reports whether the device is a GPU.
func (d *Device) IsGPU() bool { return strings.HasPrefix(d.name, CUDA) }

// IsXLA reports whether graphs are compiled by XLA, where a new shape costs seconds
// and padding is cheap.
func (d *Device) IsXLA() bool { return d.plugin != "" }

// Name is the name the device was resolved to, such as "cpu".
func (d *Device) Name() string { return d.name }

// Platform is the numeric platform: backend, architecture and the vector
// instructions that results depend on. The number of threads is not part of it,
// because no reduction of the pure-Go backend is split over threads.
func (d *Device) Platform() string { return d.platform }

var open struct {
	sync.Mutex
	devices map[string]*Device
}

// opener opens one kind of device; index is what follows the colon of its name.
type opener func(index string) (*Device, error)

// openers lists the kinds of device.
var openers = map[string]opener{CPU: openCPU, XLA: openXLACPU, CUDA: openCUDA}

// Names lists the device names that [Open] knows, sorted.
func Names() []string {
	names := []string{Auto}
	for n := range openers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Valid says what is wrong with a device name, without opening anything.
func Valid(name string) error {
	kind, index, colon := strings.Cut(name, ":")
	if _, ok := openers[kind]; !ok && name != "" && name != Auto {
		return fmt.Errorf("device %q: unknown; there are %s and %s:N", name, strings.Join(Names(), ", "), CUDA)
	}
	if n, err := strconv.Atoi(index); colon && (kind != CUDA || err != nil || n < 0) {
		return fmt.Errorf("device %q: only %s takes a number, as in %s:1", name, CUDA, CUDA)
	}
	return nil
}

// driverFile is there where NVIDIA's driver is loaded.
const driverFile = "/proc/driver/nvidia/version"

// resolve turns auto into the best device that is there.
func resolve(name string) string {
	if name = canonical(name); name != Auto {
		return name
	}
	if HasXLA {
		if _, err := os.Stat(driverFile); err == nil && checkVisible(0, os.LookupEnv) == nil {
			if p, _ := findPlugin(cudaPlugins, os.Getenv); p != "" {
				return CUDA + ":0"
			}
		}
		if p, _ := findPlugin(cpuPlugins, os.Getenv); p != "" {
			return XLA
		}
	}
	return CPU
}

// Open returns the device called name ("" means auto). A device is opened once
// per process and shared; it is never closed, because a process uses it to its end.
// What is missing is an error that says how to install it: nothing is downloaded.
func Open(name string) (*Device, error) {
	if err := Valid(name); err != nil {
		return nil, err
	}
	name = resolve(name)
	kind, index, _ := strings.Cut(name, ":")
	open.Lock()
	defer open.Unlock()
	if d, ok := open.devices[name]; ok {
		return d, nil
	}
	if os.Getenv(noInstallVar) == "" {
		if err := os.Setenv(noInstallVar, "1"); err != nil {
			return nil, fmt.Errorf("device %q: %w", name, err)
		}
	}
	d, err := openers[kind](index)
	if err != nil {
		return nil, fmt.Errorf("device %q: %w", name, err)
	}
	if open.devices == nil {
		open.devices = map[string]*Device{}
	}
	open.devices[name] = d
	return d, nil
}

// openCPU opens the pure-Go backend so that each graph runs on the goroutine
// that called it, and on no other.
//
// The backend's own worker pool can hang: with its default setting an operation
// holds a worker slot while the matrix product inside it waits for another. We
// need no pool: decoders train and generate without graphs here, and what is left,
// routers, encoders and the terms of losses, is small and runs side by side. Without
// a pool nothing can wait, so there is nothing for a watchdog to watch.
func openCPU(string) (*Device, error) {
	b, err := compute.NewWithConfig("go:ops_sequential")
	if err != nil {
		return nil, err
	}
	disablePool(b)
	return &Device{Backend: b, name: CPU, platform: cpuPlatform()}, nil
}

// disablePool switches the worker pool off. The option go:parallelism=0 does the
// same but prints a line to standard output, where our data goes, and the
// backend's type lies in an internal package; hence reflection. When a later
// version has no such field the pool stays on, and with sequential operations
// that is slower, not wrong.
func disablePool(b compute.Backend) {
	v := reflect.Indirect(reflect.ValueOf(b))
	if v.Kind() != reflect.Struct {
		return
	}
	f := v.FieldByName("Workers")
	if !f.IsValid() || f.Kind() != reflect.Pointer || f.IsNil() || !f.CanInterface() {
		return
	}
	if pool, ok := f.Interface().(interface{ SetMaxParallelism(int) }); ok {
		pool.SetMaxParallelism(0)
	}
}

// cpuPlatform names what the bits of the pure-Go device depend on. On amd64 with FMA Go's
// own math.Exp and our vector loops take another path; how wide their registers are
// changes no bit.
func cpuPlatform() string {
	p := "go/" + runtime.GOARCH
	if cpu.X86.HasAVX && cpu.X86.HasFMA {
		p += "/fma"
	}
	return p
}
