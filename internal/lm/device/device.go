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
	"strings"
	"sync"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // the pure-Go backend, always compiled in
	"golang.org/x/sys/cpu"
)

// Names that [Open] accepts.
const (
	Auto = "auto" // the best device of this build; today the same as CPU
	CPU  = "cpu"  // the pure-Go backend
)

// noInstallVar keeps the XLA bindings from downloading plugins on their own.
const noInstallVar = "GOMLX_NO_AUTO_INSTALL"

// Device is an open backend. It is safe for concurrent use: several goroutines
// may run graphs on it at the same time.
type Device struct {
	Backend compute.Backend

	name     string
	platform string
}

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

// opener opens one kind of device.
type opener func() (*Device, error)

// openers lists the kinds this build knows.
var openers = map[string]opener{CPU: openCPU}

// Names lists the device names that this build can open, sorted.
func Names() []string {
	names := []string{Auto}
	for n := range openers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Open returns the device called name ("" means auto). A device is opened once
// per process and shared; it is never closed, because the pure-Go backend holds
// nothing but memory.
func Open(name string) (*Device, error) {
	if name == "" || name == Auto {
		name = CPU
	}
	fn, ok := openers[name]
	if !ok {
		return nil, fmt.Errorf("device %q: unknown; this build has %s", name, strings.Join(Names(), ", "))
	}
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
	d, err := fn()
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
// need no pool, because training runs one graph per student (and per shard of a
// batch) side by side, which also wastes less time on synchronisation. Without
// a pool nothing can wait, so there is nothing for a watchdog to watch.
func openCPU() (*Device, error) {
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

// cpuPlatform names what the bits of the pure-Go backend depend on. Go's own
// math.Exp takes another path on amd64 with FMA, and the optional vector kernels
// add in another order, by register width.
func cpuPlatform() string {
	parts := []string{"go", runtime.GOARCH}
	if runtime.GOARCH == "amd64" {
		if cpu.X86.HasAVX && cpu.X86.HasFMA {
			parts = append(parts, "fma")
		}
		if simdBuild {
			switch {
			case cpu.X86.HasAVX512F:
				parts = append(parts, "avx512")
			case cpu.X86.HasAVX2:
				parts = append(parts, "avx2")
			}
		}
	}
	return strings.Join(parts, "/")
}
