package device

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GPU is what NVIDIA's driver says of one GPU.
type GPU struct {
	Index, UUID, Name, Driver string
	Total, Free               int64 // bytes
}

// gpuQuery are the fields of GPU as nvidia-smi calls them, in order.
const gpuQuery = "index,uuid,name,driver_version,memory.total,memory.free"

// GPUs asks nvidia-smi for the GPUs of this machine, whatever CUDA_VISIBLE_DEVICES
// leaves of them. The error says so when there is no such program.
func GPUs(ctx context.Context) ([]GPU, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu="+gpuQuery, "--format=csv,noheader,nounits").Output()
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi: %w", err)
	}
	return parseGPUs(string(out))
}

// parseGPUs reads the answer to [gpuQuery], with memory in MiB. A field that the
// driver does not know, such as the memory of a part of a GPU, is 0.
func parseGPUs(text string) ([]GPU, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	r.FieldsPerRecord = strings.Count(gpuQuery, ",") + 1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi: %w", err)
	}
	var gpus []GPU
	for _, row := range rows {
		mib := func(s string) int64 {
			n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil || n < 0 || n > math.MaxInt64>>20 {
				return 0
			}
			return n << 20
		}
		gpus = append(gpus, GPU{Index: row[0], UUID: row[1], Name: row[2], Driver: row[3], Total: mib(row[4]), Free: mib(row[5])})
	}
	return gpus, nil
}

// Free is the memory in bytes that the device can still give, 0 where that is not
// known. The memory of CPU devices is the host's, which host tells.
func (d *Device) Free(ctx context.Context, host func() int64) int64 {
	if !d.IsGPU() {
		return host()
	}
	gpus, err := GPUs(ctx)
	if err != nil {
		return 0 // the driver's program is not there: nothing is known
	}
	if g, ok := d.gpu(gpus, os.LookupEnv); ok {
		return g.Free
	}
	return 0
}

// gpu finds the device among the machine's GPUs. CUDA numbers them by speed unless
// CUDA_DEVICE_ORDER says by bus, as nvidia-smi does; on a machine with GPUs of one
// kind that is the same.
func (d *Device) gpu(gpus []GPU, lookup func(string) (string, bool)) (GPU, bool) {
	id := strings.TrimPrefix(d.name, CUDA+":")
	if ids, limited := visible(lookup); limited {
		n, err := strconv.Atoi(id)
		if err != nil || n >= len(ids) {
			return GPU{}, false
		}
		id = ids[n]
	}
	// CUDA takes the beginning of a UUID as well.
	i := slices.IndexFunc(gpus, func(g GPU) bool {
		return g.Index == id || strings.HasPrefix(id, "GPU-") && strings.HasPrefix(g.UUID, id)
	})
	if i < 0 {
		return GPU{}, false
	}
	return gpus[i], true
}

// Driver is the first line of what NVIDIA's kernel module says of itself; ok is
// false where none is loaded.
func Driver() (text string, ok bool) {
	b, err := os.ReadFile(driverFile)
	if err != nil {
		return "", false
	}
	text, _, _ = strings.Cut(string(b), "\n")
	return strings.Join(strings.Fields(text), " "), true
}

// Used is the memory in use on a GPU by all programs, in bytes; 0 for other devices
// and where it is not known.
func (d *Device) Used(ctx context.Context) int64 {
	if !d.IsGPU() {
		return 0
	}
	gpus, err := GPUs(ctx)
	if err != nil {
		return 0 // the driver's program is not there: nothing is known
	}
	if g, ok := d.gpu(gpus, os.LookupEnv); ok && g.Total > 0 {
		return g.Total - g.Free
	}
	return 0
}
