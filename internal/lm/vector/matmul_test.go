package vector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// matrix is a random view with a margin of NaN, which nothing may write or depend on.
func matrix(r *rand.Rand, rows, cols, margin int) View[float32] {
	v := View[float32]{Rows: rows, Cols: cols, Stride: cols + margin}
	v.Data = make([]float32, max(0, rows*v.Stride-margin))
	for i := range v.Data {
		v.Data[i] = float32(math.NaN())
		if i%v.Stride < cols {
			v.Data[i] = float32(r.NormFloat64())
		}
	}
	return v
}

func (v View[W]) at(r, c int) float32 { return Float(v.Data[r*v.Stride+c]) }

// halved rounds v down to bfloat16 and returns it so.
func halved(v View[float32]) View[uint16] {
	h := View[uint16]{make([]uint16, len(v.Data)), v.Rows, v.Cols, v.Stride}
	for i, x := range v.Data {
		h.Data[i] = uint16(math.Float32bits(x) >> 16)
		v.Data[i] = Float(h.Data[i])
	}
	return h
}

func transposed[W Number](v View[W], margin int) View[W] {
	t := View[W]{make([]W, v.Cols*(v.Rows+margin)), v.Cols, v.Rows, v.Rows + margin}
	for r := range v.Rows {
		for c := range v.Cols {
			t.Data[c*t.Stride+r] = v.Data[r*v.Stride+c]
		}
	}
	return t
}

// multiplied checks that the products of one size are right, that they are the same bit by
// bit whichever way the matrices lie and for all teams, and returns them.
func multiplied(t *testing.T, teams []*Team, m, k, n, margin int, add bool) View[float32] {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(m*1000+n), uint64(k)))
	a, b, c := matrix(r, m, k, margin), matrix(r, k, n, margin), matrix(r, m, n, margin)
	b16 := halved(b)
	at, bt, bt16 := transposed(a, margin), transposed(b, margin), transposed(b16, margin)
	var want View[float32]
	for _, o := range []struct {
		name string
		f    func(t *Team, c View[float32])
	}{
		{"NN", func(t *Team, c View[float32]) { NN(t, c, a, b, add) }},
		{"NN bf16", func(t *Team, c View[float32]) { NN(t, c, a, b16, add) }},
		{"NT", func(t *Team, c View[float32]) { NT(t, c, a, bt, add) }},
		{"NT bf16", func(t *Team, c View[float32]) { NT(t, c, a, bt16, add) }},
		{"TN", func(t *Team, c View[float32]) { TN(t, c, at, b, add) }},
	} {
		name := fmt.Sprintf("%s %dx%dx%d, margin %d, add %v", o.name, m, k, n, margin, add)
		for _, team := range teams {
			got := c
			got.Data = slices.Clone(c.Data)
			o.f(team, got)
			if want.Data == nil {
				want = got
				compare(t, name, want, c, a, bt, add)
			}
			for i, v := range got.Data {
				if w := want.Data[i]; math.Float32bits(v) != math.Float32bits(w) {
					t.Fatalf("%s: a team of %d computes %v at %d, want %v", name, team.Size(), v, i, w)
				}
			}
		}
	}
	return want
}

// compare reports where got is not a times bt, plus c if add.
func compare(t *testing.T, name string, got, c, a, bt View[float32], add bool) {
	t.Helper()
	for i := range c.Rows {
		for j := range c.Cols {
			var want, size float64
			if add {
				want = float64(c.at(i, j))
				size = math.Abs(want)
			}
			x, y := a.Data[i*a.Stride:][:a.Cols], bt.Data[j*bt.Stride:][:a.Cols]
			for p, v := range x {
				f := float64(v) * float64(y[p])
				want += f
				size += math.Abs(f)
			}
			if y := float64(got.at(i, j)); !(math.Abs(y-want) <= 1e-6*size) {
				t.Fatalf("%s: c[%d, %d] = %v, want %v", name, i, j, y, want)
			}
		}
	}
	for i, v := range got.Data {
		if i%c.Stride >= c.Cols && v == v {
			t.Fatalf("%s: wrote beside row %d", name, i/c.Stride)
		}
	}
}

func teams(t *testing.T) []*Team {
	all := []*Team{nil, NewTeam(1), NewTeam(2), NewTeam(5)}
	t.Cleanup(func() {
		for _, team := range all[1:] {
			team.Stop()
		}
	})
	return all
}

func TestMatMul(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		all := teams(t)
		for n := 1; n <= 70; n++ {
			some := all[:1]
			if n%10 == 9 {
				some = all
			}
			multiplied(t, some, n, n, n, 0, false)
			multiplied(t, all[:1], n, 3, 71-n, 2, true)
			multiplied(t, all[:1], 5, n, 9, 1, n%2 == 0)
		}
		for _, s := range [][3]int{{256, 256, 256}, {300, 257, 70}, {70, 600, 300}, {8, 513, 290}, {301, 530, 8}, {200, 8, 256}, {1, 1, 1000}, {1000, 2, 1}} {
			multiplied(t, all, s[0], s[1], s[2], 3, false)
			multiplied(t, all, s[0], s[1], s[2], 0, true)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 40 {
			multiplied(t, all[:3], 1+r.IntN(150), 1+r.IntN(300), 1+r.IntN(150), r.IntN(9), r.IntN(2) == 0)
		}
	})
}

// No number depends on what else is multiplied.
func TestMatMulRowAlone(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		a, b := matrix(r, 37, 300, 0), matrix(r, 300, 75, 0)
		all, one := matrix(r, 37, 75, 0), matrix(r, 1, 1, 0)
		NN(nil, all, a, b, false)
		for i := range 37 {
			for j := range 75 {
				row := View[float32]{a.Data[i*300:], 1, 300, 0}
				NN(nil, one, row, View[float32]{b.Data[j:], 300, 1, 75}, false)
				if one.Data[0] != all.Data[i*75+j] {
					t.Fatalf("[%d, %d]: alone %v, among others %v", i, j, one.Data[0], all.Data[i*75+j])
				}
			}
		}
	})
}

func TestMatMulNaN(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		a, b, c := matrix(r, 20, 19, 0), matrix(r, 19, 45, 0), matrix(r, 20, 45, 0)
		a.Data[3*19+7] = inf
		a.Data[9*19+18] = nan
		b.Data[18*45+44] = -inf
		NN(nil, c, a, b, false)
		for i := range 20 {
			for j := range 45 {
				v := float64(c.at(i, j))
				special := i == 3 || i == 9 || j == 44
				if special != (math.IsNaN(v) || math.IsInf(v, 0)) || i == 9 && !math.IsNaN(v) {
					t.Fatalf("c[%d, %d] = %v", i, j, v)
				}
			}
		}
	})
}

func TestMatMulEmpty(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, s := range [][3]int{{0, 3, 4}, {3, 4, 0}, {0, 0, 0}, {2, 0, 3}} {
		for _, add := range []bool{false, true} {
			multiplied(t, []*Team{nil}, s[0], s[1], s[2], 0, add)
		}
	}
	for name, f := range map[string]func(){
		"inner": func() { NN(nil, matrix(r, 2, 2, 0), matrix(r, 2, 3, 0), matrix(r, 4, 2, 0), false) },
		"outer": func() { NT(nil, matrix(r, 2, 2, 0), matrix(r, 2, 3, 0), matrix(r, 3, 3, 0), false) },
		"short": func() {
			a := matrix(r, 3, 2, 0)
			a.Data = a.Data[:5]
			TN(nil, matrix(r, 2, 2, 0), a, matrix(r, 3, 2, 0), false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

// best reports the speed of the fastest call: others may use the machine.
func best(b *testing.B, flops int, f func()) {
	least := time.Duration(math.MaxInt64)
	for b.Loop() {
		at := time.Now()
		f()
		least = min(least, time.Since(at))
	}
	b.ReportMetric(float64(flops)/float64(least), "GFLOP/s")
}

// What the micro kernel can do at most.
func BenchmarkMicro(b *testing.B) {
	rows, cols := microSize()
	a, c := make([]float32, rows), make([]float32, rows*cols)
	for _, w := range []int{cols, thin} {
		b.Run(fmt.Sprintf("%dx%d", rows, w), func(b *testing.B) {
			best(b, 2*rows*w*10000, func() { micro(w, 10000, a, 1, 0, c, 0, c, w, false) })
		})
	}
}

func BenchmarkMatMul(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct {
		op      string
		m, k, n int
	}{
		{"NT", 2048, 256, 800}, {"NN", 2048, 800, 256}, {"TN", 256, 2048, 800},
		{"NT16", 1024, 640, 2048}, {"NN16", 1024, 2048, 640}, {"NT", 1024, 1024, 2048},
		{"NT", 2048, 256, 8}, {"NT", 2048, 8, 256}, {"NN", 2048, 256, 8}, {"TN", 8, 2048, 256}, {"TN", 256, 2048, 8}, {"TN", 32, 2048, 256}, {"TN", 256, 2048, 32},
		{"NT", 128, 64, 128}, {"NN", 128, 128, 64}, {"TN", 128, 128, 64},
	} {
		x, y, c := matrix(r, s.m, s.k, 0), matrix(r, s.k, s.n, 0), matrix(r, s.m, s.n, 0)
		xt, yt := View[float32]{x.Data, s.k, s.m, s.m}, View[float32]{y.Data, s.n, s.k, s.k}
		y16, yt16 := halved(y), halved(yt)
		for _, size := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d/%d", s.op, s.m, s.k, s.n, size), func(b *testing.B) {
				team := NewTeam(size)
				defer team.Stop()
				best(b, 2*s.m*s.k*s.n, map[string]func(){
					"NN":   func() { NN(team, c, x, y, false) },
					"NT":   func() { NT(team, c, x, yt, false) },
					"TN":   func() { TN(team, c, xt, y, false) },
					"NN16": func() { NN(team, c, x, y16, false) },
					"NT16": func() { NT(team, c, x, yt16, false) },
				}[s.op])
			})
		}
	}
}
