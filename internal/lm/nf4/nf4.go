// Package nf4 holds the frozen weights of a model in 4 bits: the NormalFloat type
// with double quantisation of QLoRA (Dettmers et al. 2023, arXiv 2305.14314), with
// the codes that bitsandbytes computes.
//
// A tensor's values are taken in blocks of 64 in row-major order. A block is scaled
// by its largest magnitude and each value becomes the nearest of 16 levels, the
// quantiles of a normal distribution. The magnitudes lose their mean over the
// tensor and are themselves quantised to 8 bits in blocks of 256. A weight takes
// 4.13 bits so.
//
// [Quantize] works on the host. [Base] is a decoder's parameters with quantised
// projections; in a graph it gives each layer its weights when the layer needs
// them.
package nf4

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/blockwise"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Block is the number of weights that share a scale.
const Block = 64

// Levels are the values of the 16 codes: quantiles of the standard normal
// distribution scaled to [-1, 1], asymmetric so that 0 is one of them (appendix E
// of the QLoRA paper).
var Levels = [16]float32{
	-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
	-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
}

// bounds are the middles between neighbouring levels.
var bounds = func() (b [15]float32) {
	for i := range b {
		b[i] = (Levels[i] + Levels[i+1]) / 2
	}
	return b
}()

// Tensor is one quantised tensor.
type Tensor struct {
	Name string
	Dims []int
	// Codes are two to a byte, the earlier weight in the upper half; an odd count ends
	// with half a byte of no meaning.
	Codes []uint8
	// Scales are the 8-bit codes of the blocks' magnitudes less Offset, one for each
	// [Block] weights, with Tops the magnitudes of each 256 of them.
	Scales []uint8
	Tops   []float32
	Offset float32
}

// Len is the number of weights.
func (t *Tensor) Len() int { return weights.Size(t.Dims) }

// Bits is what a weight takes with its share of the scales: 4 for the code, 8 for 64
// and 32 for 64·256 weights.
const Bits = 4 + 8.0/Block + 32.0/(Block*blockwise.Size)

// The lengths of the parts, which are known without them.
func (t *Tensor) codes() int  { return (t.Len() + 1) / 2 }
func (t *Tensor) scales() int { return blocksOf(t.Len()) }
func (t *Tensor) tops() int   { return blockwise.Blocks(t.scales()) }

// forget lets go of the numbers and keeps the shape.
func (t *Tensor) forget() { t.Codes, t.Scales, t.Tops = nil, nil, nil }

// blocksOf is how many blocks n weights make.
func blocksOf(n int) int { return (n + Block - 1) / Block }

// Quantize quantises data, row-major of shape dims. A value that is not finite is
// an error that names the tensor: it would spoil its whole block.
func Quantize(name string, dims []int, data []float32) (*Tensor, error) {
	if weights.Size(dims) != len(data) || len(data) == 0 {
		return nil, fmt.Errorf("tensor %q: %d values for shape %v", name, len(data), dims)
	}
	t := &Tensor{
		Name: name, Dims: dims,
		Codes:  make([]uint8, (len(data)+1)/2),
		Scales: make([]uint8, blocksOf(len(data))),
	}
	tops := make([]float32, len(t.Scales))
	// A model has billions of weights: all cores quantise, each a stretch of blocks.
	each := max(1<<12, (len(tops)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	bad := make([]error, (len(tops)+each-1)/each)
	var g parallel.Group
	for k := range bad {
		g.Go(func() error {
			bad[k] = t.quantize(data, tops, k*each, min(len(tops), (k+1)*each))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := cmp.Or(bad...); err != nil { // the first, whoever was quicker
		return nil, err
	}
	var sum float64
	for _, top := range tops {
		sum += float64(top)
	}
	t.Offset = float32(sum / float64(len(tops)))
	for i := range tops {
		tops[i] -= t.Offset
	}
	t.Tops = make([]float32, blockwise.Blocks(len(tops)))
	blockwise.Signed().Quantize(t.Scales, t.Tops, tops)
	return t, nil
}

// quantize gives the blocks from first to last-1 their codes, and tops their magnitudes.
func (t *Tensor) quantize(data, tops []float32, first, last int) error {
	for b := first; b < last; b++ {
		part := data[b*Block : min(len(data), (b+1)*Block)]
		var top float32
		for _, v := range part {
			if v-v != 0 { // NaN or infinite
				return fmt.Errorf("tensor %q: value %v in block %d; a checkpoint with such weights cannot be used", t.Name, v, b)
			}
			top = max(top, v, -v)
		}
		tops[b] = top
		inv := 1 / max(top, 1e-38)
		for i, v := range part {
			at := b*Block + i
			t.Codes[at/2] |= code(v*inv) << (4 * (1 - at%2))
		}
	}
	return nil
}

// code is the level nearest to v; a middle belongs to the lower one.
func code(v float32) uint8 {
	lo, hi := 0, len(bounds) // the first bound that is not below v
	for lo < hi {
		if mid := (lo + hi) / 2; bounds[mid] < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return uint8(lo)
}

// Values writes the dequantised weights to dst, which it allocates when it is too short,
// and returns it.
func (t *Tensor) Values(dst []float32) []float32 {
	n := t.Len()
	if cap(dst) < n {
		dst = make([]float32, n)
	}
	dst = dst[:n]
	t.values(dst, 0)
	return dst
}

// values writes the dequantised weights from number at on to dst.
func (t *Tensor) values(dst []float32, at int) {
	levels := blockwise.Signed()
	for len(dst) > 0 {
		b := at / Block
		n := min(len(dst), (b+1)*Block-at)
		// Rounded before the sum, also where the compiler would fuse the two.
		scale := float32(levels[t.Scales[b]]*t.Tops[b/blockwise.Size]) + t.Offset
		var level [16]float32
		for i, v := range Levels {
			level[i] = v * scale
		}
		k := 0
		if at%2 == 0 {
			for _, c := range t.Codes[at/2 : (at+n)/2] {
				dst[k], dst[k+1] = level[c>>4], level[c&15]
				k += 2
			}
		}
		for ; k < n; k++ {
			dst[k] = level[t.Codes[(at+k)/2]>>(4*(1-(at+k)%2))&15]
		}
		dst, at = dst[n:], at+n
	}
}
