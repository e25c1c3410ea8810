package pretrained

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// chunk is how many numbers are converted at a time where they change their type.
const chunk = 1 << 16

// loaders is how many tensors are filled at a time: more than a few only wait for
// memory.
const loaders = 4

// LoadParams gives the parameters in the order of [decoder.Layout], on the device,
// as dtype: dtypes.Float32 or dtypes.BFloat16. Where the device shares the host's
// memory, the numbers are written where they stay; elsewhere one tensor at a time
// passes through the host. A number that is NaN or infinite is an error that names
// file and tensor. After an error nothing stays loaded.
func (m *Model) LoadParams(dev *device.Device, dtype dtypes.DType) ([]*tensors.Tensor, error) {
	if dtype != dtypes.Float32 && dtype != dtypes.BFloat16 {
		return nil, fmt.Errorf("model %s: parameters of type %s are not possible: float32 and bfloat16 are", m.Ref, dtype)
	}
	layout := decoder.Layout(m.Config)
	params := make([]*tensors.Tensor, len(layout))
	load := m.upload
	var g parallel.Group
	g.SetLimit(1)
	if dev.Backend.HasSharedBuffers() {
		load = m.share
		g.SetLimit(min(loaders, runtime.GOMAXPROCS(0)))
	}
	var scratch []byte // of upload, which runs alone
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for i, p := range layout {
		g.Go(func() (err error) {
			if ctx.Err() != nil {
				return nil // another tensor failed
			}
			if params[i], err = load(dev, p, dtype, &scratch); err != nil {
				stop()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		for _, p := range params {
			if p != nil {
				_ = p.FinalizeAll() // freed in any case
			}
		}
		return nil, err
	}
	return params, nil
}

// share fills a tensor in memory that device and host share.
func (m *Model) share(dev *device.Device, p decoder.Param, dtype dtypes.DType, _ *[]byte) (*tensors.Tensor, error) {
	shape := shapes.Make(dtype, p.Dims...)
	if data, stored, plain := m.src.raw(p.Sources[0]); plain && len(p.Sources) == 1 && stored == safetensors.BF16 && dtype == dtypes.BFloat16 {
		// As it stands in the file: one copy, into memory that was not cleared first.
		if i := firstBad16(data); i >= 0 {
			return nil, m.notFinite(p.Sources[0], i, bf16At(data, i))
		}
		t, err := tensors.FromRaw(dev.Backend, 0, shape, data)
		m.src.release(p.Sources[0])
		if err != nil {
			return nil, fmt.Errorf("model %s: tensor %q does not fit on %s: %w", m.Ref, p.Name, dev.Name(), err)
		}
		return t, nil
	}
	t, err := tensors.FromShapeForBackend(dev.Backend, 0, shape)
	if err != nil {
		return nil, fmt.Errorf("model %s: tensor %q does not fit on %s: %w", m.Ref, p.Name, dev.Name(), err)
	}
	var fillErr error
	if err := t.MutableBytes(func(b []byte) { fillErr = m.fill(p, dtype, b) }); err != nil {
		return t, err
	}
	return t, fillErr
}

// upload fills scratch and copies it to the device, which has it when this returns.
func (m *Model) upload(dev *device.Device, p decoder.Param, dtype dtypes.DType, scratch *[]byte) (*tensors.Tensor, error) {
	shape := shapes.Make(dtype, p.Dims...)
	if n := int(shape.ByteSize()); cap(*scratch) < n {
		*scratch = make([]byte, n)
	}
	b := (*scratch)[:shape.ByteSize()]
	if err := m.fill(p, dtype, b); err != nil {
		return nil, err
	}
	t, err := tensors.FromRaw(dev.Backend, 0, shape, b)
	if err != nil {
		return nil, fmt.Errorf("model %s: tensor %q does not fit on %s: %w", m.Ref, p.Name, dev.Name(), err)
	}
	return t, nil
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
		dst := out[:n*dtype.Size()]
		out = out[len(dst):]
		data, stored, plain := m.src.raw(name)
		var err error
		switch {
		case plain && stored == safetensors.BF16 && dtype == dtypes.BFloat16:
			err = m.copied(name, dst, data)
		case dtype == dtypes.Float32:
			err = rows(dims, func(r, k int) error {
				return m.floats(name, floats32(dst)[r:r+k], r)
			})
		default:
			err = rows(dims, func(r, k int) error {
				if cap(buf) < k {
					buf = make([]float32, k)
				}
				part := buf[:k]
				if err := m.floats(name, part, r); err != nil {
					return err
				}
				for j, x := range part {
					binary.LittleEndian.PutUint16(dst[2*(r+j):], safetensors.ToBF16(x))
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
		m.src.release(name)
	}
	return nil
}

// floats32 is the same memory as numbers. The backends allocate it for their type,
// so that it is aligned, and run on little-endian machines only.
func floats32(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// rows calls each for pieces of a tensor, of whole rows and about the size of chunk:
// k numbers from index at on. Vectors are one piece.
func rows(dims []int, each func(at, k int) error) error {
	n := weights.Size(dims)
	width := n
	if len(dims) > 1 {
		width = n / dims[0]
	}
	step := max(1, chunk/width) * width
	for at := 0; at < n; at += step {
		if err := each(at, min(step, n-at)); err != nil {
			return err
		}
	}
	return nil
}

// copied copies bfloat16 as it stands, in pieces that are looked through while they
// are in the processor's cache.
func (m *Model) copied(name string, dst, data []byte) error {
	for at := 0; at < len(data); at += 2 * chunk {
		part := data[at:min(at+2*chunk, len(data))]
		copy(dst[at:], part)
		if i := firstBad16(part); i >= 0 {
			return m.notFinite(name, at/2+i, bf16At(part, i))
		}
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
