package vector

// microSize is the size of the micro kernel's tile.
func microSize() (rows, cols int) {
	switch level {
	case avx512:
		return 8, 32
	case avx2:
		return 6, 16
	}
	return plainRows, plainCols
}

// micro writes a tile of C, of as many rows as [microSize] says and w columns, which is
// as many or [thin]: the sum of k steps of A's rows, rs apart, times rows of B, bs apart. A's
// steps are ks apart.
func micro(w, k int, a []float32, rs, ks int, b []float32, bs int, c []float32, cs int, add bool) {
	rows, cols := microSize()
	// What the assembly reads and writes.
	_, _, _ = a[(rows-1)*rs+(k-1)*ks], b[(k-1)*bs+w-1], c[(rows-1)*cs+w-1]
	more := flag(add)
	switch {
	case level == plain:
		plainMicro(k, a, rs, ks, b, bs, c, cs, add)
	case level == avx2 && w == cols:
		micro6x16(k, &a[0], rs, ks, &b[0], bs, &c[0], cs, more)
	case level == avx2:
		micro6x8(k, &a[0], rs, ks, &b[0], bs, &c[0], cs, more)
	case w == cols:
		micro8x32(k, &a[0], rs, ks, &b[0], bs, &c[0], cs, more)
	default:
		micro8x8(k, &a[0], rs, ks, &b[0], bs, &c[0], cs, more)
	}
}

// copies does what [copyRows] says for the first rows and returns how many: those in which
// whole vectors can be read.
func copies[W Number](dst []float32, w, room int, src []W, ss, rows, cols int) int {
	if level == plain {
		return 0
	}
	// A panel of one vector, or one panel of several.
	blocks, step, to := up(cols, w), w, room
	if w > block {
		blocks, step, to = up(cols, block), block, block
	}
	from := (blocks-1)*step + block
	rows = min(rows, (len(src)-from)/max(ss, 1)+1)
	if len(src) < from || rows <= 0 {
		return 0
	}
	_ = dst[(blocks-1)*to+(rows-1)*w+block-1]
	switch src := any(src).(type) {
	case []float32:
		copy32(&dst[0], w, to, &src[0], ss, step, rows, blocks)
	case []uint16:
		copy16(&dst[0], w, to, &src[0], ss, step, rows, blocks)
	}
	return rows
}

// turns does what [turnRows] says for [block] rows and the first columns and returns how
// many.
func turns[W Number](dst []float32, w int, src []W, ss, cols int) int {
	n := cols / block * block
	if level == plain || n == 0 {
		return 0
	}
	_, _ = dst[(n-1)*w+block-1], src[(block-1)*ss+n-1]
	switch src := any(src).(type) {
	case []float32:
		turn32(&dst[0], w, &src[0], ss, n/block)
	case []uint16:
		turn16(&dst[0], w, &src[0], ss, n/block)
	}
	return n
}

// The micro kernels. Strides count numbers.
//
//go:noescape
func micro8x32(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)

//go:noescape
func micro8x8(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)

//go:noescape
func micro6x16(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)

//go:noescape
func micro6x8(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)

// turn32 writes 8 rows of src of blocks·8 numbers, ss apart, as columns, whose rows are ds
// apart.
//
//go:noescape
func turn32(dst *float32, ds int, src *float32, ss, blocks int)

// turn16 is turn32 for a src of bfloat16.
//
//go:noescape
func turn16(dst *float32, ds int, src *uint16, ss, blocks int)

// copy32 copies rows of 8 numbers for each block. Rows are ds and ss apart, blocks db and sb.
//
//go:noescape
func copy32(dst *float32, ds, db int, src *float32, ss, sb, rows, blocks int)

// copy16 is copy32 for a src of bfloat16.
//
//go:noescape
func copy16(dst *float32, ds, db int, src *uint16, ss, sb, rows, blocks int)
