package vector

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func TestProduct(t *testing.T) {
	for _, n := range []int{1, 3, 7, 8, 9, 16, 40, 41, 256} {
		for _, out := range []int{1, 2, 3, 11, 64, 301} {
			for _, rows := range []int{1, 4, 5, 8} {
				r := rand.New(rand.NewPCG(uint64(n), uint64(out)))
				padded := (rows + Rows - 1) / Rows * Rows
				x, w := random(r, padded*(n+3)), random(r, out*n)
				half := make([]uint16, len(w))
				for i, v := range w {
					half[i] = uint16(math.Float32bits(v) >> 16)
				}
				check(t, fmt.Sprintf("f32 %d %d %d", n, out, rows), x, n+3, rows, w, n, out)
				check(t, fmt.Sprintf("bf16 %d %d %d", n, out, rows), x, n+3, rows, half, n, out)
			}
		}
	}
}

func check[W Number](t *testing.T, name string, x []float32, xs, rows int, w []W, n, out int) {
	t.Helper()
	padded := (rows + Rows - 1) / Rows * Rows
	ys := out + 2
	got, split, alone := make([]float32, padded*ys), make([]float32, padded*ys), make([]float32, Rows*ys)
	Product(got, ys, x, xs, rows, w, n, 0, out)
	cut := out / 2 &^ 1 // columns in two parts
	Product(split, ys, x, xs, rows, w, n, cut, out)
	Product(split, ys, x, xs, rows, w, n, 0, cut)
	for r := range rows {
		// The row by itself, beside copies of another one.
		one := make([]float32, Rows*n)
		for i := range Rows {
			copy(one[i*n:], x[:n])
		}
		copy(one[n:2*n], x[r*xs:])
		Product(alone, ys, one, n, Rows, w, n, 0, out)
		for o := range out {
			var want, size float64
			for k := range n {
				p := float64(x[r*xs+k]) * float64(Float(w[o*n+k]))
				want += p
				size += math.Abs(p)
			}
			y := got[r*ys+o]
			if math.Abs(float64(y)-want) > 1e-6*size {
				t.Fatalf("%s: y[%d, %d] = %v, want %v", name, r, o, y, want)
			}
			if s, a := split[r*ys+o], alone[ys+o]; s != y || a != y {
				t.Fatalf("%s: y[%d, %d] = %v, in two parts %v, in other company %v", name, r, o, y, s, a)
			}
		}
		if got[r*ys+out] != 0 {
			t.Fatalf("%s: wrote beyond row %d", name, r)
		}
	}
}

// The assembly and the Go code compute the same.
func TestProductsInGo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n, pairs = 48, 5
	x, w := random(r, Rows*n), random(r, 2*pairs*n)
	a, b := make([]float32, Rows*2*pairs), make([]float32, Rows*2*pairs)
	products(a, 2*pairs, x, n, w, n, n/block, pairs)
	plainProducts(b, 2*pairs, x, n, w, n, n/block, pairs)
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-4 {
			t.Fatalf("%d: %v and %v", i, a[i], b[i])
		}
	}
}

func TestSum(t *testing.T) {
	for _, n := range []int{1, 8, 31, 32, 64, 100} {
		for _, rows := range []int{0, 1, 2, 33} {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			y, p, v := random(r, n), random(r, rows), random(r, rows*n)
			Sum(y, p, v)
			for i := range y {
				var want float64
				for k := range rows {
					want += float64(p[k]) * float64(v[k*n+i])
				}
				if math.Abs(float64(y[i])-want) > 1e-4 {
					t.Fatalf("%d columns, %d rows: y[%d] = %v, want %v", n, rows, i, y[i], want)
				}
			}
		}
	}
}

func TestExp(t *testing.T) {
	for x := float32(-86.9); x < 88; x += 0.0137 {
		want := math.Exp(float64(x))
		if got := float64(Exp(x)); math.Abs(got-want) > 3e-7*want {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	inf := float32(math.Inf(1))
	if Exp(-inf) != 0 || Exp(-1e9) != 0 || Exp(0) != 1 || Exp(inf) != inf || Exp(float32(math.NaN())) == Exp(float32(math.NaN())) {
		t.Error("a special value is wrong")
	}
}

func TestSumExp(t *testing.T) {
	for _, n := range []int{1, 7, 8, 100, 5000} {
		x := random(rand.New(rand.NewPCG(1, uint64(n))), n)
		x[n/2] = -1e9
		top, at := Max(x)
		if x[at] != top {
			t.Fatalf("the largest is not at %d", at)
		}
		var want float64
		for _, v := range x {
			want += math.Exp(float64(v - top))
		}
		if got := SumExp(x, top); math.Abs(got-want) > 1e-6*want {
			t.Errorf("%d numbers: %v, want %v", n, got, want)
		}
		if x[n/2] = float32(math.NaN()); !math.IsNaN(SumExp(x, top)) {
			t.Errorf("%d numbers: NaN is lost", n)
		}
	}
}

func TestSoftmax(t *testing.T) {
	x := []float32{1, 2, 3, float32(math.Inf(-1))}
	Softmax(x)
	for i, want := range []float64{0.09003057, 0.24472848, 0.66524094, 0} {
		if math.Abs(float64(x[i])-want) > 1e-6 {
			t.Errorf("%d: %v, want %v", i, x[i], want)
		}
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][3]int{{8, 256, 800}, {8, 640, 16384}, {256, 256, 800}, {1, 640, 2048}} {
		b.Run(fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]), func(b *testing.B) {
			rows, n, out := s[0], s[1], s[2]
			x, w, y := random(r, max(rows, Rows)*n), random(r, out*n), make([]float32, max(rows, Rows)*out)
			for b.Loop() {
				Product(y, out, x, n, rows, w, n, 0, out)
			}
			b.ReportMetric(2*float64(rows*n*out*b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func TestTeam(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		team := NewTeam(size)
		if team.Size() != size {
			t.Errorf("a team of %d, want %d", team.Size(), size)
		}
		for n := range 300 {
			got := make([]int, n)
			team.Run(n, func(i int) { got[i] += i + n })
			for i, v := range got {
				if v != i+n {
					t.Fatalf("%d of %d: %d", i, n, v)
				}
			}
			if n%50 == 0 { // long enough that the others sleep
				for range 2000 {
					runtime.Gosched()
				}
			}
		}
		team.Stop()
	}
}

// A panic comes out where Run was called, once all goroutines are done with the loop,
// and the team serves the next one.
func TestTeamPanics(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		team := NewTeam(size)
		for n := range 100 {
			var ran atomic.Int64
			err := parallel.Call(func() error {
				team.Run(50, func(i int) {
					if ran.Add(1); i%(n+1) == n {
						panic(i)
					}
				})
				return nil
			})
			var p *parallel.PanicError
			if errors.As(err, &p) != (n < 50) {
				t.Fatalf("size %d, every %d panics: %v", size, n+1, err)
			}
			if p != nil {
				if i, ok := p.Value.(int); !ok || i%(n+1) != n || !strings.Contains(string(p.Stack), "TestTeamPanics") {
					t.Fatalf("size %d: %v", size, p)
				}
			}
			ran.Store(0)
			if team.Run(50, func(int) { ran.Add(1) }); ran.Load() != 50 {
				t.Fatalf("size %d: %d of 50 after a panic", size, ran.Load())
			}
		}
		team.Stop()
	}
}

// Decoding's loops are about this short.
func BenchmarkTeam(b *testing.B) {
	team := NewTeam(2)
	defer team.Stop()
	v := make([]float32, 4096)
	for b.Loop() {
		team.Run(4, func(i int) {
			for k := i * 1024; k < (i+1)*1024; k++ {
				v[k]++
			}
		})
	}
}
