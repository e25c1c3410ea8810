package pretrained

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// chunk is how many numbers are converted at a time where they change their type.
const chunk = 1 << 18

// LoadParams gives the parameters in the order of [decoder.Layout], on the device,
// as dtype: dtypes.Float32 or dtypes.BFloat16. One tensor at a time passes through
// the host, which never holds more than the parameters that stay there and one
// tensor. A number that is NaN or infinite is an error that names file and tensor.
// After an error nothing stays loaded.
func (m *Model) LoadParams(dev *device.Device, dtype dtypes.DType) (params []*tensors.Tensor, err error) {
	if dtype != dtypes.Float32 && dtype != dtypes.BFloat16 {
		return nil, fmt.Errorf("model %s: parameters of type %s are not possible: float32 and bfloat16 are", m.Ref, dtype)
	}
	defer func() {
		if err != nil {
			for _, p := range params {
				_ = p.FinalizeAll() // freed in any case
			}
			params = nil
		}
	}()
	var scratch []byte // where a device has memory of its own
	for _, p := range decoder.Layout(m.Config) {
		shape := shapes.Make(dtype, p.Dims...)
		var t *tensors.Tensor
		if dev.Backend.HasSharedBuffers() {
			if t, err = tensors.FromShapeForBackend(dev.Backend, 0, shape); err != nil {
				return params, fmt.Errorf("model %s: tensor %q: %w", m.Ref, p.Name, err)
			}
			params = append(params, t)
			var fillErr error
			if err = t.MutableBytes(func(b []byte) { fillErr = m.fill(p, dtype, b) }); err == nil {
				err = fillErr
			}
			if err != nil {
				return params, err
			}
			continue
		}
		if n := int(shape.ByteSize()); cap(scratch) < n {
			scratch = make([]byte, n)
		}
		scratch = scratch[:shape.ByteSize()]
		if err = m.fill(p, dtype, scratch); err != nil {
			return params, err
		}
		if t, err = tensors.FromRaw(dev.Backend, 0, shape, scratch); err != nil {
			return params, fmt.Errorf("model %s: tensor %q does not fit on %s: %w", m.Ref, p.Name, dev.Name(), err)
		}
		params = append(params, t)
	}
	return params, nil
}

// Host gives the parameters in the order of [decoder.Layout] as float32 on the host,
// for models that are merged, quantised or small.
func (m *Model) Host() (weights.Set, error) {
	var set weights.Set
	for _, p := range decoder.Layout(m.Config) {
		t := weights.Const(0, p.Name, p.Dims...)
		at := 0
		for i, name := range p.Sources {
			n := weights.Size(decoder.SourceDims(m.Config, p, i))
			if err := m.floats(name, t.Data[at:at+n], 0); err != nil {
				return nil, err
			}
			m.src.release(name)
			at += n
		}
		set = append(set, t)
	}
	return set, nil
}

// fill writes the sources of a parameter one after the other, little endian.
func (m *Model) fill(p decoder.Param, dtype dtypes.DType, out []byte) error {
	var buf []float32
	for i, name := range p.Sources {
		dims := decoder.SourceDims(m.Config, p, i)
		n := weights.Size(dims)
		size := n * dtype.Size()
		dst := out[:size]
		out = out[size:]
		data, stored, plain := m.src.raw(name)
		switch {
		case plain && stored == safetensors.BF16 && dtype == dtypes.BFloat16:
			if err := m.copied(name, dst, data); err != nil {
				return err
			}
		default:
			rows, width := n, 1
			if len(dims) > 1 {
				rows, width = dims[0], n/dims[0]
			} else {
				rows, width = 1, n // vectors are read whole
			}
			step := max(1, chunk/width)
			if buf == nil || cap(buf) < min(step, rows)*width {
				buf = make([]float32, min(step, rows)*width)
			}
			for r := 0; r < rows; r += step {
				part := buf[:min(step, rows-r)*width]
				if err := m.floats(name, part, r*width); err != nil {
					return err
				}
				put(dst[r*width*dtype.Size():], dtype, part)
			}
		}
		m.src.release(name)
	}
	return nil
}

// copied copies bfloat16 as it stands, in pieces that are looked through while they
// are in the cache.
func (m *Model) copied(name string, dst, data []byte) error {
	for at := 0; at < len(data); at += 2 * chunk {
		to := min(at+2*chunk, len(data))
		copy(dst[at:to], data[at:to])
		if i := firstBad16(dst[at:to]); i >= 0 {
			return m.notFinite(name, at/2+i, bf16At(dst[at:to], i))
		}
		safetensors.Release(data[at:to])
	}
	return nil
}

func (m *Model) floats(name string, out []float32, first int) error {
	if err := m.src.read(name, out, first); err != nil {
		return err
	}
	if i := firstBad32(out); i >= 0 {
		return m.notFinite(name, first+i, out[i])
	}
	return nil
}

func (m *Model) notFinite(name string, i int, v float32) error {
	return fmt.Errorf("%s: tensor %q: number %d is %v: the checkpoint is damaged or its training diverged", m.src.file(name), name, i, v)
}

func put(dst []byte, dtype dtypes.DType, v []float32) {
	if dtype == dtypes.BFloat16 {
		for i, x := range v {
			binary.LittleEndian.PutUint16(dst[2*i:], safetensors.ToBF16(x))
		}
		return
	}
	// The bytes of a tensor are those of the machine; the backends run on
	// little-endian ones only.
	for i, x := range v {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}
