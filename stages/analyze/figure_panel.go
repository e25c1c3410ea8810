package analyze

import (
	"image/color"
	"math"
	"slices"
	"strconv"
)

// scale maps values to a stretch of the canvas.
type scale struct {
	min, max float64 // of the values
	from, to float64 // on the canvas, in points
	log      bool
}

func (s scale) at(v float64) float64 {
	min, max := s.min, s.max
	if s.log {
		v, min, max = math.Log(v), math.Log(min), math.Log(max)
	}
	if max <= min {
		return (s.from + s.to) / 2
	}
	return s.from + (s.to-s.from)*(v-min)/(max-min)
}

type tick struct {
	at   float64
	text string
}

// ticks are at most n round values of a scale.
func (s scale) ticks(n int) []tick {
	var out []tick
	if s.log {
		for e := math.Floor(math.Log10(s.min)); e <= math.Ceil(math.Log10(s.max)); e++ {
			for _, m := range []float64{1, 2, 5} {
				v := m * math.Pow(10, e)
				if v >= s.min*(1-1e-9) && v <= s.max*(1+1e-9) {
					out = append(out, tick{v, number(v)})
				}
			}
		}
		return thinned(out, n)
	}
	if s.max <= s.min {
		return []tick{{s.min, number(s.min)}}
	}
	step := math.Pow(10, math.Floor(math.Log10(s.max-s.min)))
	for _, m := range []float64{.1, .2, .5, 1, 2, 5, 10} {
		if (s.max-s.min)/(step*m) <= float64(n-1)+1e-9 {
			step *= m
			break
		}
	}
	for i := math.Ceil(s.min/step - 1e-9); i*step <= s.max+step*1e-9; i++ {
		v := i*step + 0 // a zero without sign
		out = append(out, tick{v, number(v)})
	}
	return out
}

// thinned keeps at most n ticks at even distances.
func thinned(t []tick, n int) []tick {
	every := (len(t) + n - 1) / n
	var out []tick
	for i := 0; i < len(t); i += max(1, every) {
		out = append(out, t[i])
	}
	return out
}

// number prints a value of an axis.
func number(v float64) string {
	if v >= 10_000 && math.Mod(v, 1000) == 0 {
		return strconv.FormatFloat(v/1000, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// panel is a pair of axes. pad is the room between the ends of the x axis and the values.
type panel struct {
	x, y scale
	pad  float64
}

// percentTicks are those of shares.
var percentTicks = []tick{{0, "0 %"}, {.5, "50 %"}, {1, "100 %"}}

// grid draws horizontal lines and the labels of both axes.
func (p panel) grid(c *canvas, xs, ys []tick) {
	from, to := p.x.from-p.pad, p.x.to+p.pad
	for _, t := range ys {
		y := p.y.at(t.at)
		c.line(faint, .75, nil, from, y, to, y)
		c.text(smallText, grey, from-4, y+3, right, t.text)
	}
	for _, t := range xs {
		x := p.x.at(t.at)
		c.line(grey, .75, nil, x, p.y.from, x, p.y.from+3)
		c.text(smallText, grey, x, p.y.from+13, center, t.text)
	}
	c.line(grey, .75, nil, from, p.y.from, to, p.y.from)
}

// measured is a value with its interval.
type measured struct{ x, y, low, high float64 }

// curve draws values joined by lines, each with a dot where they are few.
func (p panel) curve(c *canvas, col color.NRGBA, values []measured) {
	var at [][2]float64
	for _, v := range values {
		at = append(at, [2]float64{p.x.at(v.x), p.y.at(v.y)})
	}
	if len(at) > manyCorners {
		at = envelope(at)
	}
	c.polyline(col, 1.75, nil, at)
	if len(values) <= 16 {
		for _, q := range at {
			c.dot(col, q[0], q[1], 2.25)
		}
	}
}

// manyCorners is how many corners of a curve are drawn as they are: the time that a line
// takes grows faster than they.
const manyCorners = 10_000

// envelope keeps of a curve, whose corners go from left to right, the first, the lowest,
// the highest and the last corner in each half point of the width: what can be seen of it
// (Jugel et al., 2014, "M4: A Visualization-Oriented Time Series Data Aggregation").
func envelope(at [][2]float64) [][2]float64 {
	column := func(q [2]float64) float64 { return math.Floor(2 * q[0]) }
	var out [][2]float64
	for from := 0; from < len(at); {
		to, low, high := from, from, from
		for ; to < len(at) && column(at[to]) == column(at[from]); to++ {
			if at[to][1] < at[low][1] {
				low = to
			}
			if at[to][1] > at[high][1] {
				high = to
			}
		}
		keep := []int{from, min(low, high), max(low, high), to - 1}
		for _, i := range slices.Compact(keep) {
			out = append(out, at[i])
		}
		from = to
	}
	return out
}

// band fills the intervals.
func (p panel) band(c *canvas, col color.NRGBA, values []measured) {
	var at [][2]float64
	for _, v := range values {
		at = append(at, [2]float64{p.x.at(v.x), p.y.at(v.high)})
	}
	for i := len(values) - 1; i >= 0; i-- {
		at = append(at, [2]float64{p.x.at(values[i].x), p.y.at(values[i].low)})
	}
	c.polygon(translucent(col, 0x30), at)
}

// tiles are places for n panels side by side, in rows of at most across.
type tiles struct{ n, across int }

func (t tiles) rows() int { return (t.n + t.across - 1) / t.across }

// box is where the i-th panel's left edge and top are, and its width, in rows of a
// height.
func (t tiles) box(i int, height float64) (x, y, width float64) {
	width = (figureWidth - 2*figureEdge) / float64(t.across)
	return figureEdge + float64(i%t.across)*width, float64(i/t.across) * height, width
}
