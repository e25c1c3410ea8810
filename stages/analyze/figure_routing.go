package analyze

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

// noRates is why there is no figure of rates.
const noRates = "there are no rates over all epochs"

// routingFigure is a heat map, style by epoch, for each student.
func routingFigure(rates []schema.Rate) (figure, string) {
	r := newRatesReport(rates)
	if len(r.Overall) == 0 {
		return figure{}, noRates
	}
	columns := r.Epochs
	if len(columns) != 1 {
		columns = append([]epochRates{{Rates: r.Overall}}, columns...)
	}
	names := 0.0
	for _, s := range r.Styles {
		names = max(names, textWidth(labelText, false, s))
	}
	names = min(names, 90)
	const row, head = 21, 34
	// The column of all epochs has room for its numbers and stands apart from the others.
	room := textWidth(smallText, false, "100") + 1
	all, gap := 0.0, 0.0
	if len(columns) > 1 {
		all, gap = room+2, 5
	}
	// One column of names serves the panels of a row.
	wide := func(across int) float64 { return (figureWidth - 2*figureEdge - names - 6) / float64(across) }
	step := func(across int) float64 {
		return (wide(across) - 8 - all - gap) / float64(max(1, len(columns)-1))
	}
	// As many panels side by side as leave room for the numbers. Where there are too many
	// epochs even for one panel, colours have to do.
	across := min(3, len(r.Students))
	for a := across; a > 0; a-- {
		if step(a) >= room {
			across = a
			break
		}
	}
	numbers := step(across) >= room
	t := tiles{len(r.Students), across}
	height := head + row*float64(len(r.Styles)) + 10
	f := figure{name: "routing", title: "Where the router sent each style",
		about:  "Percent of the style's paths that went to the student; blue: more than evenly",
		height: height * float64(t.rows())}
	f.draw = func(c *canvas) {
		wide, step := wide(across), step(across)
		every := int(math.Ceil(16 / step))
		for i, student := range r.Students {
			_, top, _ := t.box(i, height)
			x0 := figureEdge + names + 6 + float64(i%across)*wide
			c.textBold(labelText, ink, x0, top+12, left, fit(labelText, true, student, wide-10))
			for k, e := range columns {
				x, w, label := x0+all+gap+float64(k-1)*step, step, strconv.Itoa(e.Epoch)
				switch {
				case len(columns) == 1:
					x, label = x0, "epoch "+label
				case e.Epoch == 0:
					x, w, label = x0, all, "all"
				}
				if e.Epoch == 0 || len(columns) == 1 || (k-1)%every == 0 {
					c.text(smallText, grey, x+w/2, top+27, center, label)
				}
				at := index(e.Rates)
				for j, style := range r.Styles {
					y := top + head + float64(j)*row - 3
					if rate, ok := at[cell{0, style, student}]; ok {
						text := ""
						if numbers || e.Epoch == 0 {
							text = fmt.Sprintf("%.0f", 100*rate.Share)
						}
						heatCell(c, text, rate.Share, 1/float64(len(r.Students)), x+.5, y+.5, x+w-.5, y+row-.5)
					} else {
						c.text(smallText, grey, x+w/2, y+row/2+3.2, center, "–")
					}
				}
			}
			if i%across == 0 {
				for j, style := range r.Styles {
					c.text(labelText, ink, x0-6, top+head+float64(j)*row-3+row/2+3.5, right, fit(labelText, false, style, names))
				}
			}
		}
	}
	return f, ""
}

// heatCell is a share as a colour that tells it from an even split, with a text on it.
func heatCell(c *canvas, text string, share, even, x0, y0, x1, y1 float64) {
	strong, part := lineColor(0), 0.0
	if even < 1 {
		part = (share - even) / (1 - even)
	}
	if part < 0 {
		strong, part = lineColor(1), -part
	}
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + min(1, part)*(float64(b)-float64(a)))) }
	c.rect(color.NRGBA{mix(shade.R, strong.R), mix(shade.G, strong.G), mix(shade.B, strong.B), 0xff}, x0, y0, x1, y1)
	col := ink
	if part > .7 {
		col = white
	}
	c.text(smallText, col, (x0+x1)/2, (y0+y1)/2+3.2, center, text)
}

// sharesFigure has a panel for each style, with each student's share over the epochs.
func sharesFigure(rates []schema.Rate) (figure, string) {
	r := newRatesReport(rates)
	switch {
	case len(r.Overall) == 0:
		return figure{}, noRates
	case len(r.Epochs) < 2:
		return figure{}, "shares over time need two epochs or more"
	}
	across := 3
	if n := len(r.Styles); n < 3 || n == 4 {
		across = min(n, 2)
	}
	t := tiles{len(r.Styles), across}
	const height = 104
	f := figure{name: "shares", title: "Shares of each style over time",
		about:  "Share of the style's paths by epoch; dashed: an even split",
		height: height * float64(t.rows())}
	for i, s := range r.Students {
		f.legend = append(f.legend, legendEntry{text: fit(smallText, false, s, 120), color: lineColor(i)})
	}
	// The intervals of more students would hide one another.
	banded := len(r.Students) <= 3
	if banded {
		f.about = "Share of the style's paths by epoch, 95 % interval; dashed: an even split"
	}
	first, last := float64(r.Epochs[0].Epoch), float64(r.Epochs[len(r.Epochs)-1].Epoch)
	var epochs []tick
	for _, e := range r.Epochs {
		epochs = append(epochs, tick{float64(e.Epoch), strconv.Itoa(e.Epoch)})
	}
	f.draw = func(c *canvas) {
		for i, style := range r.Styles {
			x, y, w := t.box(i, height)
			p := panel{scale{first, last, x + 36, x + w - 10, false}, scale{0, 1, y + height - 24, y + 20, false}, 0}
			c.textBold(smallText, ink, x+2, y+11, left, fit(smallText, true, style, w-6))
			p.grid(c, thinned(epochs, 5), percentTicks)
			even := p.y.at(1 / float64(len(r.Students)))
			c.line(grey, .75, dashes, p.x.from, even, p.x.to, even)
			curves := make([][]measured, len(r.Students))
			for k, student := range r.Students {
				for _, e := range r.Epochs {
					if rate, ok := index(e.Rates)[cell{0, style, student}]; ok {
						low, high := stats.Wilson(rate.Routed, rate.Total, stats.Z95)
						curves[k] = append(curves[k], measured{float64(e.Epoch), rate.Share, low, high})
					}
				}
				if banded {
					p.band(c, lineColor(k), curves[k])
				}
			}
			for k, values := range curves {
				p.curve(c, lineColor(k), values)
			}
		}
	}
	return f, ""
}
