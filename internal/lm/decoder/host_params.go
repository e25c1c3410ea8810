package decoder

import (
	"fmt"
	"unsafe"

	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"
)

// HostParams are parameters that are arguments of a graph as a [Host] reads them: in their
// memory, which is valid as long as they are. Others than float32 and bfloat16 tensors are
// an error.
func HostParams(args []any) ([]HostParam, error) {
	out := make([]HostParam, len(args))
	for i, a := range args {
		t, ok := a.(*tensors.Tensor)
		if !ok {
			return nil, fmt.Errorf("parameter %d is a %T: only tensors lie in the host's memory", i, a)
		}
		known := true
		err := t.ConstFlatData(func(flat any) {
			switch v := flat.(type) {
			case []float32:
				out[i].F32 = v
			case []bfloat16.BFloat16:
				out[i].BF16 = unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
			default:
				known = false
			}
		})
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, fmt.Errorf("parameter %d has the type %s", i, t.DType())
		}
	}
	return out, nil
}
