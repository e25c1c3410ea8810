package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

const (
	probeTimeout = 2 * time.Minute // a first start of CUDA takes tens of seconds
	probeSize    = 512             // rows of the matrices that a device multiplies
)

// doctorDevices looks at the plugins, the GPUs and every device that is there.
func (a app) doctorDevices(ctx context.Context) []finding {
	const area = "devices"
	out := []finding{a.tryDevice(ctx, device.CPU)}
	if xla, _ := device.Build(); !xla {
		return append(out, finding{area, "xla", stateMissing, "this build has no XLA bindings", "build with a C compiler and CGO_ENABLED=1"})
	}
	out = append(out, a.doctorPlugin(ctx, device.XLA)...)
	driver, gpus := doctorDriver(ctx)
	out = append(out, driver)
	for _, g := range gpus {
		out = append(out, finding{area, "gpu " + g.Index, stateOK, fmt.Sprintf("%s, %s, %s free", g.Name, text.Size(g.Total), text.Size(g.Free)), ""})
	}
	if list, set := os.LookupEnv(device.VisibleVar); set {
		f := finding{area, device.VisibleVar, stateOK, fmt.Sprintf("%q", list), ""}
		if strings.Trim(list, " ,") == "" || strings.HasPrefix(strings.TrimSpace(list), "-") {
			f.State, f.Detail, f.Fix = stateWarning, fmt.Sprintf("%q hides every GPU", list), "unset "+device.VisibleVar+" to use them"
		}
		out = append(out, f)
	} else {
		out = append(out, finding{area, device.VisibleVar, stateOK, "not set: every GPU may be used", ""})
	}
	if driver.State == stateOK {
		return append(out, a.doctorPlugin(ctx, device.CUDA)...)
	}
	path, _, _ := device.FindPlugin(device.CUDA)
	f := finding{area, "CUDA plugin", stateMissing, "not needed without a GPU", ""}
	if path != "" {
		f = finding{area, "CUDA plugin", stateOK, path + "; no GPU to try it on", ""}
	}
	return append(out, f)
}

// doctorDriver looks for NVIDIA's driver and its GPUs.
func doctorDriver(ctx context.Context) (finding, []device.GPU) {
	const area, name = "devices", "NVIDIA driver"
	gpus, err := device.GPUs(ctx)
	version, loaded := device.Driver()
	switch {
	case err == nil && len(gpus) > 0:
		return finding{area, name, stateOK, gpus[0].Driver + ", " + text.Plural(len(gpus), "GPU"), ""}, gpus
	case loaded:
		// nvidia-smi may be absent from a container that has the driver.
		return finding{area, name, stateOK, version + "; nvidia-smi names no GPUs", ""}, nil
	}
	return finding{area, name, stateMissing, "no driver is loaded, so there is no GPU to use", "with an NVIDIA GPU, install its driver from your distribution; a container needs --gpus all"}, nil
}

// doctorPlugin looks for the plugin of a kind of device and tries it.
func (a app) doctorPlugin(ctx context.Context, kind string) []finding {
	const area = "devices"
	name := map[string]string{device.XLA: "XLA CPU plugin", device.CUDA: "CUDA plugin"}[kind]
	path, looked, install := device.FindPlugin(kind)
	if path == "" {
		return []finding{{area, name, stateMissing, "looked in " + strings.Join(looked, ", "), install + ", or name its folder in " + device.PluginPathVar}}
	}
	tried := a.tryDevice(ctx, kind)
	plugin := finding{area, name, stateOK, path, ""}
	if tried.State == stateBroken {
		// The message about the device names the plugin.
		plugin.State, plugin.Fix = stateWarning, "install it again ("+install+"), or name another in "+device.PluginPathVar
	}
	return []finding{plugin, tried}
}

// tryDevice opens a device in a process of its own.
func (a app) tryDevice(ctx context.Context, name string) finding {
	r := a.probe(ctx, name)
	if r.Error != "" {
		return finding{"devices", name, stateBroken, r.Error, ""}
	}
	detail := fmt.Sprintf("%s, %.1f GFLOP/s (matrices of %d x %d)", r.Platform, r.FLOPS/1e9, probeSize, probeSize)
	if r.Free > 0 {
		detail += ", " + text.Size(r.Free) + " free"
	}
	return finding{"devices", r.Name, stateOK, detail, ""}
}

func (a app) probe(ctx context.Context, name string) probeResult {
	self, err := os.Executable()
	if err != nil {
		return probeResult{Error: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "doctor", "probe", name)
	cmd.Args[0] = os.Args[0]
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	var r probeResult
	if err := json.Unmarshal(out.Bytes(), &r); runErr != nil || err != nil {
		if runErr == nil {
			runErr = err
		}
		return probeResult{Error: probeError(ctx, runErr, errs.String())}
	}
	return r
}

// probeDevice opens a device, multiplies matrices and says what it saw.
func probeDevice(ctx context.Context, name string) probeResult {
	d, err := device.Open(name)
	if err != nil {
		return probeResult{Error: err.Error()}
	}
	r := probeResult{Name: d.Name(), Platform: d.Platform(), Version: d.Version(), Free: d.Free(ctx, pretrained.HostFree)}
	if r.FLOPS, err = d.Probe(probeSize); err != nil {
		r.Error = err.Error()
	}
	return r
}
