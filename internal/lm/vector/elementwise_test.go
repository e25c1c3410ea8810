package vector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// eachLength runs f with each set of instructions for vectors with and without a rest.
func eachLength(t *testing.T, f func(t *testing.T, r *rand.Rand, n int)) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for n := range 70 {
			f(t, r, n)
		}
		f(t, r, 1000)
	})
}

// near reports where got is further from want than by.
func near(t *testing.T, what string, got []float32, want func(i int) float64, by func(i int, want float64) float64) {
	t.Helper()
	for i, v := range got {
		if w := want(i); !(math.Abs(float64(v)-w) <= by(i, w)) {
			t.Fatalf("%s, number %d of %d: %v, want %v", what, i, len(got), v, w)
		}
	}
}

// relative is some units in the last place.
func relative(_ int, want float64) float64 { return 6e-7 * math.Abs(want) }

func TestExps(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		x, y := random(r, n), make([]float32, n)
		for i := range x {
			x[i] *= 20
		}
		sum := Exps(y, x, 1.5, 0.25)
		var want float64
		near(t, "exp", y, func(i int) float64 { return 0.25 * math.Exp(float64(x[i]-1.5)) }, func(i int, w float64) float64 {
			if x[i]-1.5 < -87 {
				return 1e-37
			}
			return relative(i, w)
		})
		for _, v := range y {
			want += float64(v)
		}
		if math.Abs(float64(sum)-want) > 1e-6*want {
			t.Fatalf("sum of %d: %v, want %v", n, sum, want)
		}
	})
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{1, 8} {
			for _, c := range [][2]float32{{-inf, 0}, {-1e9, 0}, {-87.5, 0}, {0, 1}, {nan, nan}, {88, Exp(88)}, {1000, Exp(88)}, {inf, Exp(88)}} {
				x := slices.Repeat(c[:1], n)
				Exps(x, x, 0, 1)
				if v := x[n-1]; v != c[1] && !(v != v && c[1] != c[1]) {
					t.Errorf("%d numbers: exp(%v) = %v, want %v", n, c[0], v, c[1])
				}
			}
		}
	})
}

func TestMax(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		x := random(r, n)
		for i := range x {
			if r.IntN(3) == 0 {
				x[i] = []float32{2, nan, -inf}[r.IntN(3)]
			}
		}
		want, place := -inf, -1
		for i, v := range x {
			if v > want {
				want, place = v, i
			}
		}
		if top, at := Max(x); top != want || at != place {
			t.Fatalf("Max(%v) = %v at %d, want %v at %d", x, top, at, want, place)
		}
	})
}

func TestSoftmaxes(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		if n == 0 {
			return
		}
		x := random(r, n)
		y := slices.Clone(x)
		top, by := Softmax(y)
		var sum float64
		for _, v := range x {
			sum += math.Exp(float64(v))
		}
		near(t, "softmax", y, func(i int) float64 { return math.Exp(float64(x[i])) / sum }, func(_ int, w float64) float64 { return 1e-6 * w })
		Exps(x, x, top, by)
		near(t, "top and sum", x, func(i int) float64 { return float64(y[i]) }, relative)

	})
}

func TestSoftmaxBack(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		for _, limit := range []float32{0, 2} {
			x, d := random(r, n), random(r, n)
			scores, got := slices.Clone(x), slices.Clone(d)
			SoftmaxBack(scores, got, 1, 0.5, 0.3, limit)
			p := func(i int) float64 { return 0.5 * math.Exp(float64(x[i])-1) }
			near(t, "softmax", scores, p, relative)
			near(t, "gradient", got, func(i int) float64 {
				g := p(i) * (float64(d[i]) - 0.3)
				if limit != 0 {
					g *= 1 - math.Pow(float64(x[i]/limit), 2)
				}
				return g
			}, func(int, float64) float64 { return 1e-6 })
		}
	})
}

func TestCap(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		x := random(r, n)
		for i := range x {
			x[i] *= float32(math.Exp(8*r.Float64() - 4))
		}
		if n > 3 {
			x[0], x[n-1], x[1] = float32(math.Inf(1)), -1e9, 0
		}
		y := slices.Clone(x)
		Cap(y, 5)
		near(t, "cap", y, func(i int) float64 { return 5 * math.Tanh(float64(x[i])/5) }, relative)
	})
	for _, n := range []int{1, 8} {
		x := slices.Repeat([]float32{float32(math.NaN())}, n)
		if Cap(x, 5); x[0] == x[0] {
			t.Error("NaN is lost")
		}
	}
}

func TestGates(t *testing.T) {
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	gelu := func(x float64) float64 {
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	for name, c := range map[string]struct {
		g Gate
		f func(x float64) float64
	}{"silu": {SiLU, silu}, "gelu": {GELUTanh, gelu}} {
		t.Run(name, func(t *testing.T) {
			eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
				gate, up, dy, y := random(r, n), random(r, n), random(r, n), make([]float32, n)
				for i := range gate {
					gate[i] *= 4
				}
				if n > 9 {
					gate[0], gate[n-1], gate[9] = 1e4, 300, -1e4
				}
				c.g.Forward(y, gate, up)
				near(t, "forward", y, func(i int) float64 { return c.f(float64(gate[i])) * float64(up[i]) }, func(i int, w float64) float64 {
					return 1e-6 * (1 + math.Abs(float64(gate[i]))) * math.Abs(float64(up[i]))
				})
				g, u := slices.Clone(gate), slices.Clone(up)
				c.g.Backward(g, u, dy)
				near(t, "up", u, func(i int) float64 { return c.f(float64(gate[i])) * float64(dy[i]) }, func(i int, w float64) float64 {
					return 1e-6 * (1 + math.Abs(float64(gate[i]))) * math.Abs(float64(dy[i]))
				})
				near(t, "gate", g, func(i int) float64 {
					x, h := float64(gate[i]), 1e-4
					return float64(dy[i]) * float64(up[i]) * (c.f(x+h) - c.f(x-h)) / (2 * h)
				}, func(i int, w float64) float64 {
					x := float64(gate[i])
					return (1e-6*(1+x*x) + 1e-7) * math.Abs(float64(dy[i])*float64(up[i]))
				})
			})
			nan := float32(math.NaN())
			for _, n := range []int{1, 8} {
				x, y, one := slices.Repeat([]float32{nan}, n), make([]float32, n), slices.Repeat([]float32{1}, n)
				if c.g.Forward(y, x, one); y[0] == y[0] {
					t.Error("NaN is lost forward")
				}
				if c.g.Backward(x, one, slices.Clone(one)); x[0] == x[0] {
					t.Error("NaN is lost backward")
				}
			}
		})
	}
}

func TestNorms(t *testing.T) {
	const eps = 1e-3
	norm := func(x, w []float64, at int) float64 {
		var sum float64
		for _, v := range x {
			sum += v * v
		}
		return x[at] * w[at] / math.Sqrt(sum/float64(len(x))+eps)
	}
	wide := func(x []float32) []float64 {
		y := make([]float64, len(x))
		for i, v := range x {
			y[i] = float64(v)
		}
		return y
	}
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		if n == 0 || n > 100 {
			return
		}
		x, w, dy, y, dw := random(r, n), random(r, n), random(r, n), make([]float32, n), random(r, n)
		x64, w64 := wide(x), wide(w)
		RMSNorm(y, x, w, eps)
		near(t, "forward", y, func(i int) float64 { return norm(x64, w64, i) }, relative)

		// The gradient of the sum of dy times the norm, by differences.
		slope := func(v []float64, i int) float64 {
			const h = 1e-4
			was := v[i]
			var d float64
			for k, g := range dy {
				v[i] = was + h
				up := norm(x64, w64, k)
				v[i] = was - h
				d += float64(g) * (up - norm(x64, w64, k)) / (2 * h)
			}
			v[i] = was
			return d
		}
		dx, before, dwBefore := random(r, n), make([]float32, n), slices.Clone(dw)
		copy(before, dx)
		RMSNormBack(dx, dy, x, w, dw, eps, true)
		near(t, "with more", dx, func(i int) float64 { return float64(before[i]) + slope(x64, i) }, func(int, float64) float64 { return 2e-5 })
		near(t, "weight", dw, func(i int) float64 { return float64(dwBefore[i]) + slope(w64, i) }, func(int, float64) float64 { return 2e-5 })
		same := slices.Clone(dy)
		RMSNormBack(same, same, x, w, nil, eps, false)
		near(t, "in place", same, func(i int) float64 { return float64(dx[i] - before[i]) }, func(int, float64) float64 { return 2e-5 })
	})
}

func TestSums(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n int) {
		x, y := random(r, n), random(r, n)
		var want, size float64
		for i, v := range x {
			want += float64(v) * float64(y[i])
			size += math.Abs(float64(v) * float64(y[i]))
		}
		if got := float64(Dot(x, y)); math.Abs(got-want) > 1e-6*size {
			t.Fatalf("dot of %d: %v, want %v", n, got, want)
		}
		z := slices.Clone(y)
		Add(z, 1.5, x)
		near(t, "add", z, func(i int) float64 { return float64(y[i]) + 1.5*float64(x[i]) }, func(i int, _ float64) float64 { return 1e-6 * (1 + math.Abs(float64(x[i]))) })
		Scale(z, -3)
		near(t, "scale", z, func(i int) float64 { return -3 * (float64(y[i]) + 1.5*float64(x[i])) }, func(i int, _ float64) float64 { return 4e-6 * (1 + math.Abs(float64(x[i]))) })
	})
}

func BenchmarkElementwise(b *testing.B) {
	const n = 800
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z, w := random(r, n), random(r, n), make([]float32, n), random(r, n)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"exps", func() { Exps(z, x, 4, 1) }},
		{"softmax", func() { copy(z, x); Softmax(z) }},
		{"silu", func() { SiLU.Forward(z, x, y) }},
		{"silu back", func() { copy(z, x); SiLU.Backward(z, w, y) }},
		{"softmax back", func() { copy(z, x); SoftmaxBack(z, w, 4, 1, 0, 0) }},
		{"cap", func() { copy(z, x); Cap(z, 5) }},
		{"norm", func() { RMSNorm(z, x, w, 1e-6) }},
		{"norm back", func() { RMSNormBack(z, y, x, w, nil, 1e-6, false) }},
		{"dot", func() { Dot(x, y) }},
		{"add", func() { Add(z, 1, x) }},
		{"max", func() { Max(x) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			least := time.Duration(math.MaxInt64)
			for b.Loop() {
				at := time.Now()
				for range 100 {
					c.f()
				}
				least = min(least, time.Since(at))
			}
			b.ReportMetric(float64(least)/(100*n), "ns/number")
		})
	}
}
