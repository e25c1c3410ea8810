package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// devices looks at the plugins, the GPUs and every device that is there.
func devices(ctx context.Context) []Finding {
	const area = "devices"
	out := []Finding{tryDevice(ctx, device.CPU)}
	if !device.HasXLA {
		return append(out, Finding{area, "xla", Missing, "this build has no XLA bindings", "build with a C compiler and CGO_ENABLED=1"})
	}
	out = append(out, plugin(ctx, device.XLA)...)
	nvidia, gpus := driver(ctx)
	out = append(out, nvidia)
	for _, g := range gpus {
		out = append(out, Finding{area, "gpu " + g.Index, OK, fmt.Sprintf("%s, %s, %s free", g.Name, text.Size(g.Total), text.Size(g.Free)), ""})
	}
	if list, set := os.LookupEnv(device.VisibleVar); set {
		f := Finding{area, device.VisibleVar, OK, fmt.Sprintf("%q", list), ""}
		if strings.Trim(list, " ,") == "" || strings.HasPrefix(strings.TrimSpace(list), "-") {
			f.State, f.Detail, f.Fix = Warning, fmt.Sprintf("%q hides every GPU", list), "unset "+device.VisibleVar+" to use them"
		}
		out = append(out, f)
	} else {
		out = append(out, Finding{area, device.VisibleVar, OK, "not set: every GPU may be used", ""})
	}
	if nvidia.State == OK {
		return append(out, plugin(ctx, device.CUDA)...)
	}
	path, _, _ := device.FindPlugin(device.CUDA)
	f := Finding{area, "CUDA plugin", Missing, "not needed without a GPU", ""}
	if path != "" {
		f = Finding{area, "CUDA plugin", OK, path + "; no GPU to try it on", ""}
	}
	return append(out, f)
}

// driver looks for NVIDIA's driver and its GPUs.
func driver(ctx context.Context) (Finding, []device.GPU) {
	const area, name = "devices", "NVIDIA driver"
	gpus, err := device.GPUs(ctx)
	version, loaded := device.Driver()
	switch {
	case err == nil && len(gpus) > 0:
		return Finding{area, name, OK, gpus[0].Driver + ", " + text.Plural(len(gpus), "GPU"), ""}, gpus
	case loaded:
		// nvidia-smi may be absent from a container that has the driver.
		return Finding{area, name, OK, version + "; nvidia-smi names no GPUs", ""}, nil
	}
	return Finding{area, name, Missing, "no driver is loaded, so no GPU can be used", "with an NVIDIA GPU, install its driver from your distribution; a container needs --gpus all"}, nil
}

// plugin looks for the plugin of a kind of device and tries it.
func plugin(ctx context.Context, kind string) []Finding {
	const area = "devices"
	name := map[string]string{device.XLA: "XLA CPU plugin", device.CUDA: "CUDA plugin"}[kind]
	path, looked, install := device.FindPlugin(kind)
	if path == "" {
		return []Finding{{area, name, Missing, "looked in " + strings.Join(looked, ", "), install + ", or name its folder in " + device.PluginPathVar}}
	}
	tried := tryDevice(ctx, kind)
	found := Finding{area, name, OK, path, ""}
	if tried.State == Broken {
		// The message about the device names the plugin.
		found.State, found.Fix = Warning, "install it again ("+install+"), or name another in "+device.PluginPathVar
	}
	return []Finding{found, tried}
}

// tryDevice opens a device in a process of its own.
func tryDevice(ctx context.Context, name string) Finding {
	r := probe(ctx, name)
	if r.Error != "" {
		return Finding{"devices", name, Broken, r.Error, ""}
	}
	detail := fmt.Sprintf("%s, %.1f GFLOP/s (matrices of %d x %d)", r.Platform, r.FLOPS/1e9, probeSize, probeSize)
	if r.Free > 0 {
		detail += ", " + text.Size(r.Free) + " free"
	}
	return Finding{"devices", r.Name, OK, detail, ""}
}

func probe(ctx context.Context, name string) Probe {
	self, err := os.Executable()
	if err != nil {
		return Probe{Error: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "doctor", "probe", name)
	cmd.Args[0] = os.Args[0]
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	var r Probe
	if err := json.Unmarshal(out.Bytes(), &r); runErr != nil || err != nil {
		if runErr == nil {
			runErr = err
		}
		return Probe{Error: probeError(ctx, runErr, errs.String())}
	}
	return r
}

// ProbeDevice opens a device, multiplies matrices and says what it saw.
func ProbeDevice(ctx context.Context, name string) Probe {
	d, err := device.Open(name)
	if err != nil {
		return Probe{Error: err.Error()}
	}
	r := Probe{Name: d.Name(), Platform: d.Platform(), Version: d.Version(), Free: d.Free(ctx, pretrained.HostFree)}
	if r.FLOPS, err = d.Probe(probeSize); err != nil {
		r.Error = err.Error()
	}
	return r
}

// Probe is what the process that tried one device tells doctor.
type Probe struct {
	Name     string  `json:"name,omitempty"`
	Platform string  `json:"platform,omitempty"`
	Version  string  `json:"version,omitempty"`
	FLOPS    float64 `json:"flops,omitempty"`
	Free     int64   `json:"free,omitempty"` // bytes
	Error    string  `json:"error,omitempty"`
}

// probeError shortens an error of a device to what stands in a table.
func probeError(ctx context.Context, err error, output string) string {
	last := ""
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" {
			last = ": " + line
		}
	}
	if len(last) > 300 {
		last = last[:300]
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "the device did not answer in time" + last
	}
	return fmt.Sprintf("the process that tried it ended (%v)%s", err, last)
}
