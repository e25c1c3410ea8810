package train

import (
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// openDevice opens the device that a stage names, among the GPUs that it has to
// itself.
func openDevice(env *stage.Env, name string) (*device.Device, error) {
	here, err := device.Within(name, env.GPUs)
	if err != nil {
		return nil, err
	}
	return device.Open(here)
}

// halfPrecision reports whether a precision (auto, f32 or bf16) means bfloat16 on a
// device.
func halfPrecision(precision string, dev *device.Device) bool {
	return precision == "bf16" || precision == "auto" && dev.IsGPU()
}

// devicesOf reads a setting of one or several devices.
func devicesOf(names stage.Names) (device.List, error) {
	return device.ParseList(strings.Join(names, ", "))
}

// precisionName is a precision as models folders name it.
func precisionName(bf16 bool) string {
	if bf16 {
		return "bf16"
	}
	return "f32"
}
