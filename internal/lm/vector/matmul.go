package vector

import (
	"fmt"
	"sync"
)

// View is a row-major matrix: row r begins at Data[r*Stride] and has Cols numbers.
type View[W Number] struct {
	Data               []W
	Rows, Cols, Stride int
}

// check panics where v reaches beyond its data.
func (v View[W]) check(name string) {
	if v.Rows < 0 || v.Cols < 0 || v.Rows > 1 && v.Stride < v.Cols ||
		v.Rows > 0 && v.Cols > 0 && len(v.Data) < (v.Rows-1)*v.Stride+v.Cols {
		panic(fmt.Sprintf("vector: %s: %d rows of %d, %d apart, do not fit in %d numbers", name, v.Rows, v.Cols, v.Stride, len(v.Data)))
	}
}

// NN writes C = A·B, or adds it to C: a is [m, k], b is [k, n]. Like [NT] and [TN] it
// shares the work with t, nil for none, and takes any sizes. Each number of C depends on
// its own row and column alone: the rest of the matrices and the size of the team do not
// change a bit. c must not overlap a or b.
func NN[W Number](t *Team, c, a View[float32], b View[W], add bool) {
	same(c, a.Rows, b.Cols, a.Cols, b.Rows)
	a.check("a")
	b.check("b")
	multiply(t, c, a.Cols, a.Data, a.Stride, 1, b.Data, 1, b.Stride, add)
}

// NT writes C = A·Bᵀ, or adds it to C: a is [m, k], b is [n, k]. See [NN].
func NT[W Number](t *Team, c, a View[float32], b View[W], add bool) {
	same(c, a.Rows, b.Rows, a.Cols, b.Cols)
	a.check("a")
	b.check("b")
	multiply(t, c, a.Cols, a.Data, a.Stride, 1, b.Data, b.Stride, 1, add)
}

// TN writes C = Aᵀ·B, or adds it to C: a is [k, m], b is [k, n]. See [NN].
func TN(t *Team, c, a, b View[float32], add bool) {
	same(c, a.Cols, b.Cols, a.Rows, b.Rows)
	a.check("a")
	b.check("b")
	multiply(t, c, a.Rows, a.Data, 1, a.Stride, b.Data, 1, b.Stride, add)
}

func same(c View[float32], m, n, ka, kb int) {
	c.check("c")
	if c.Rows != m || c.Cols != n || ka != kb {
		panic(fmt.Sprintf("vector: a product of [%d, %d] and [%d, %d] into [%d, %d]", m, ka, kb, n, c.Rows, c.Cols))
	}
}

// The blocks that stay in the caches: a panel of A with depth numbers a row in the first,
// a block of B with depth rows of breadth numbers in the second. Sums are cut by depth, so
// it is part of what the bits depend on.
const (
	depth   = 384
	breadth = 128
)

// The largest tile of the micro kernels.
const (
	maxRows = 8
	maxCols = 32
)

// thin is how wide the micro kernel is that does the columns that are left over.
const thin = 8

// For so few rows or columns of C the other side is read where it lies.
const (
	fewRows = 128
	fewCols = 32
)

// Columns of A are copied to a group of panels at a time, which are so far apart.
const (
	group     = 8
	panelRoom = depth*maxRows + block
)

// leastTile is the fewest rows worth packing a block of B for.
const leastTile = 64

// product is one call of [NN], [NT] or [TN]: c [m, n] is the sum over k of a [m, k] times
// b [k, n], whose strides say which way round they lie.
type product[W Number] struct {
	c        View[float32]
	k        int
	a        []float32
	ars, aks int
	b        []W
	bns, bks int
	add      bool

	mr, nr     int // the micro kernel
	rows, cols int // of a tile
	across     int // tiles beside each other
}

// scratch is what one tile is worked with.
type scratch struct {
	b    [depth * breadth]float32
	a    [group * panelRoom]float32
	tile [maxRows * maxCols]float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func multiply[W Number](t *Team, c View[float32], k int, a []float32, ars, aks int, b []W, bns, bks int, add bool) {
	if c.Rows == 0 || c.Cols == 0 {
		return
	}
	if k == 0 {
		for i := 0; i < c.Rows && !add; i++ {
			clear(c.Data[i*c.Stride:][:c.Cols])
		}
		return
	}
	p := &product[W]{c: c, k: k, a: a, ars: ars, aks: aks, b: b, bns: bns, bks: bks, add: add}
	p.mr, p.nr = microSize()
	t.Run(p.split(t.Size()), p.work)
}

// split chooses the tiles for so many goroutines and returns their number.
func (p *product[W]) split(size int) int {
	panels := up(p.c.Cols, p.nr)
	across, down := up(panels*p.nr, breadth), 1
	if size > 1 && p.c.Rows*p.c.Cols*p.k > 1<<16 {
		want := 6 * size
		down = max(1, min(up(want, across), p.c.Rows/leastTile))
		across = max(across, min(up(want, down), panels))
	}
	p.cols = up(panels, across) * p.nr
	p.rows = up(up(p.c.Rows, p.mr), down) * p.mr
	p.across = up(p.c.Cols, p.cols)
	return p.across * up(p.c.Rows, p.rows)
}

// up is n/d, rounded up.
func up(n, d int) int { return (n + d - 1) / d }

// work computes one tile.
func (p *product[W]) work(i int) {
	row, col := i/p.across*p.rows, i%p.across*p.cols
	rows, cols := min(p.rows, p.c.Rows-row), min(p.cols, p.c.Cols-col)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	var room [breadth / thin]panel
	step := up(p.k, up(p.k, depth))
	for k := 0; k < p.k; k += step {
		n := min(step, p.k-k)
		panels := p.panelsB(room[:0], s, col, cols, rows, k, n)
		for r := row; r < row+rows; r += p.mr {
			left := row + rows - r
			there := min(p.mr, left)
			a, rs, ks := p.panelA(s, (r-row)/p.mr, r, left, cols, k, n)
			at, add := r*p.c.Stride+col, p.add || k > 0
			for _, b := range panels {
				c := p.c.Data[at:]
				if there == p.mr && b.there == b.width {
					micro(b.width, n, a, rs, ks, b.data, b.stride, c, p.c.Stride, add)
				} else {
					micro(b.width, n, a, rs, ks, b.data, b.stride, s.tile[:], b.width, false)
					s.put(c, p.c.Stride, there, b.there, b.width, add)
				}
				at += b.there
			}
		}
	}
}

// panel is some columns of B: there of them in rows of width numbers, stride apart.
type panel struct {
	data                 []float32
	stride, width, there int
}

// panelsB is cols columns of B from col on and n rows from k on. Where they serve few rows
// they lie as they are, else one panel after another; what the last has too many means nothing.
func (p *product[W]) panelsB(to []panel, s *scratch, col, cols, rows, k, n int) []panel {
	near, _ := any(p.b).([]float32)
	for at := 0; at < cols; {
		left := cols - at
		v := panel{width: thin, there: min(left, thin)}
		if left > p.nr-thin {
			v = panel{width: p.nr, there: min(left, p.nr)}
		}
		from := (col+at)*p.bns + k*p.bks
		if near != nil && p.bns == 1 && rows <= fewRows && v.there == v.width {
			v.data, v.stride = near[from:], p.bks
		} else if v.data, v.stride = s.b[at*n:], v.width; p.bns == 1 {
			copyRows(v.data, v.width, 0, p.b[from:], p.bks, n, v.there)
		} else {
			turnRows(v.data, v.width, p.b[from:], p.bns, v.there, n)
		}
		to = append(to, v)
		at += v.there
	}
	return to
}

// panelA is panel i of A in a tile: mr rows from row r on, or the left ones, and n steps from
// k on, with the strides between rows and steps. Rows lie as they are: each is read in order.
// Columns, which are not, are copied unless they serve few columns of C.
func (p *product[W]) panelA(s *scratch, i, r, left, cols, k, n int) (a []float32, rs, ks int) {
	a = p.a[r*p.ars+k*p.aks:]
	few := p.aks == 1 || cols <= fewCols
	switch {
	case few && left >= p.mr:
		return a, p.ars, p.aks
	case p.aks == 1:
		turnRows(s.a[:], p.mr, a, p.ars, left, n)
		return s.a[:], 1, p.mr
	case few:
		copyRows(s.a[:], p.mr, 0, a, p.aks, n, left)
		return s.a[:], 1, p.mr
	case i%group == 0:
		copyRows(s.a[:], p.mr, panelRoom, a, p.aks, n, min(left, group*p.mr))
	}
	return s.a[i%group*panelRoom:], 1, p.mr
}

// put moves the upper left corner of the tile to c.
func (s *scratch) put(c []float32, cs, rows, cols, w int, add bool) {
	for i := range rows {
		from, to := s.tile[i*w:][:cols], c[i*cs:][:cols]
		if !add {
			copy(to, from)
			continue
		}
		for j, v := range from {
			to[j] += v
		}
	}
}

// copyRows copies rows of cols numbers, ss apart, to panels of rows of w numbers. The panels
// are room apart. What the last panel's rows have too many, and up to [block] numbers behind
// each panel, may change.
func copyRows[W Number](dst []float32, w, room int, src []W, ss, rows, cols int) {
	for i := copies(dst, w, room, src, ss, rows, cols); i < rows; i++ {
		for at := 0; at < cols; at += w {
			to := dst[at/w*room+i*w:]
			for j, v := range src[i*ss+at : i*ss+min(at+w, cols)] {
				to[j] = Float(v)
			}
		}
	}
}

// turnRows copies rows of cols numbers, ss apart, to columns of rows w apart.
func turnRows[W Number](dst []float32, w int, src []W, ss, rows, cols int) {
	for r := 0; r < rows; r += block {
		done := 0
		if r+block <= rows {
			done = turns(dst[r:], w, src[r*ss:], ss, cols)
		}
		if done == cols {
			continue
		}
		for i := r; i < min(r+block, rows); i++ {
			for j, v := range src[i*ss+done : i*ss+cols] {
				dst[(done+j)*w+i] = Float(v)
			}
		}
	}
}
