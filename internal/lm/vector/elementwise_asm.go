//go:build amd64 || arm64

package vector

import "math"

// instructions are what the kernels use, in rising order.
type instructions int

// plain is Go.
const plain instructions = 0

// exps does what [Exps] says and returns how many numbers are done: all.
func exps(y, x []float32, minus, times float32) (sum float32, done int) {
	if level == plain {
		return 0, 0
	}
	var lanes [block]float32
	n := len(x) / block * block
	if n > 0 {
		exp32(&y[0], &x[0], n/block, minus, times, &lanes)
		sum = total(&lanes)
	}
	if n < len(x) {
		rest := padded(x[n:], float32(math.Inf(-1)))
		exp32(&rest[0], &rest[0], 1, minus, times, &lanes)
		copy(y[n:], rest[:])
		sum += total(&lanes)
	}
	return sum, len(x)
}

// padded is a vector of fewer numbers.
func padded(x []float32, with float32) (v [block]float32) {
	for i := copy(v[:], x); i < block; i++ {
		v[i] = with
	}
	return v
}

func total(v *[block]float32) float32 {
	return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
}

// The following do what their callers say for the first numbers and return how many.

func gates(y, gate, up []float32, g Gate) int {
	n := vectors(gate)
	if n > 0 {
		gate32(&y[0], &gate[0], &up[0], n/block, g.a, g.b)
	}
	return n
}

func gatesBack(gate, up, dy []float32, g Gate) int {
	n := vectors(gate)
	if n > 0 {
		gateBack32(&gate[0], &up[0], &dy[0], n/block, g.a, g.b)
	}
	return n
}

func softmaxBacks(d, p []float32, mean float32) int {
	n := vectors(d)
	if n > 0 {
		softmaxBack32(&d[0], &p[0], n/block, mean)
	}
	return n
}

func caps(x []float32, limit float32) int {
	if level == plain {
		return 0
	}
	n := len(x) / block * block
	if n > 0 {
		cap32(&x[0], n/block, limit, 1/limit)
	}
	if n < len(x) {
		rest := padded(x[n:], 0)
		cap32(&rest[0], 1, limit, 1/limit)
		copy(x[n:], rest[:])
	}
	return len(x)
}

// maxs is minus infinity where none is larger.
func maxs(x []float32) (top float32, done int) {
	var lanes [block]float32
	for i := range lanes {
		lanes[i] = float32(math.Inf(-1))
	}
	n := vectors(x)
	if n > 0 {
		max32(&x[0], n/block, &lanes)
	}
	for _, v := range lanes[1:] {
		lanes[0] = max(lanes[0], v)
	}
	return lanes[0], n
}

func scales(x []float32, by float32) int {
	n := vectors(x)
	if n > 0 {
		scale32(&x[0], n/block, by)
	}
	return n
}

func adds(y []float32, a float32, x []float32) int {
	n := vectors(x)
	if n > 0 {
		add32(&y[0], &x[0], n/block, a)
	}
	return n
}

func dots(x, y []float32) (sum float32, done int) {
	var lanes [block]float32
	n := vectors(x)
	if n > 0 {
		dot32(&x[0], &y[0], n/block, &lanes)
	}
	return total(&lanes), n
}

func dots3(x, y, z []float32) (sum float32, done int) {
	var lanes [block]float32
	n := vectors(x)
	if n > 0 {
		dot3(&x[0], &y[0], &z[0], n/block, &lanes)
	}
	return total(&lanes), n
}

func norms(y, x, w []float32, r float32) int {
	n := vectors(x)
	if n > 0 {
		norm32(&y[0], &x[0], &w[0], n/block, r)
	}
	return n
}

func normsBack(dx, dy, x, w []float32, r, b float32, more bool) int {
	n := vectors(x)
	if n > 0 {
		normBack32(&dx[0], &dy[0], &x[0], &w[0], n/block, r, b, flag(more))
	}
	return n
}

// vectors is how many of the numbers of x fill vectors.
func vectors(x []float32) int {
	if level == plain {
		return 0
	}
	return len(x) / block * block
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// exp32 writes the exponentials of blocks·8 numbers less minus, times times, and their sums
// by lane.
//
//go:noescape
func exp32(y, x *float32, blocks int, minus, times float32, lanes *[8]float32)

//go:noescape
func gate32(y, gate, up *float32, blocks int, a, b float32)

//go:noescape
func gateBack32(gate, up, dy *float32, blocks int, a, b float32)

//go:noescape
func softmaxBack32(d, p *float32, blocks int, mean float32)

// cap32 is x = limit·tanh(x·inverse).
//
//go:noescape
func cap32(x *float32, blocks int, limit, inverse float32)

// max32 takes lanes to the largest of them and x.
//
//go:noescape
func max32(x *float32, blocks int, lanes *[8]float32)

//go:noescape
func scale32(x *float32, blocks int, by float32)

//go:noescape
func add32(y, x *float32, blocks int, a float32)

//go:noescape
func dot32(x, y *float32, blocks int, lanes *[8]float32)

//go:noescape
func dot3(x, y, z *float32, blocks int, lanes *[8]float32)

// norm32 is y = x·w·r.
//
//go:noescape
func norm32(y, x, w *float32, blocks int, r float32)

// normBack32 is dx = r·dy·w + b·x, and with more dx besides.
//
//go:noescape
func normBack32(dx, dy, x, w *float32, blocks int, r, b float32, more int)
