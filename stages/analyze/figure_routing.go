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
	t := tiles{len(r.Students), min(3, len(r.Students))}
	names := 0.0
	for _, s := range r.Styles {
		names = max(names, textWidth(labelText, false, s))
	}
	names = min(names, 90)
	const row, head = 21, 34
	height := head + row*float64(len(r.Styles)) + 10
	f := figure{name: "routing", title: "Where the router sent each style",
		about:  "Percent of the style's paths that went to the student; blue: more than evenly",
		height: height * float64(t.rows())}
	f.draw = func(c *canvas) {
		// One column of names serves the panels of a row.
		wide := (figureWidth - 2*figureEdge - names - 6) / float64(t.across)
		for i, student := range r.Students {
			_, top, _ := t.box(i, height)
			x0 := figureEdge + names + 6 + float64(i%t.across)*wide
			x1 := x0 + wide - 8
			c.textBold(labelText, ink, x0, top+12, left, fit(labelText, true, student, wide-10))
			all := 0.0 // the room between the column of all epochs and the others
			if len(columns) > 1 {
				all = 5
			}
			step := (x1 - x0 - all) / float64(len(columns))
			every := int(math.Ceil(16 / step))
			for k, e := range columns {
				x, label := x0+float64(k)*step, strconv.Itoa(e.Epoch)
				switch {
				case e.Epoch == 0:
					label = "all"
				case all > 0:
					x += all
				}
				if e.Epoch == 0 || (k-1)%every == 0 || len(columns) == 1 {
					if len(columns) == 1 {
						label = "epoch " + label
					}
					c.text(smallText, grey, x+step/2, top+27, center, label)
				}
				at := index(e.Rates)
				for j, style := range r.Styles {
					y := top + head + float64(j)*row - 3
					if rate, ok := at[cell{0, style, student}]; ok {
						heatCell(c, rate.Share, 1/float64(len(r.Students)), x+.5, y+.5, x+step-.5, y+row-.5)
					} else {
						c.text(smallText, grey, x+step/2, y+row/2+3.2, center, "–")
					}
				}
			}
			if i%t.across == 0 {
				for j, style := range r.Styles {
					c.text(labelText, ink, x0-6, top+head+float64(j)*row-3+row/2+3.5, right, fit(labelText, false, style, names))
				}
			}
		}
	}
	return f, ""
}

// heatCell is a share as a number, where there is room, and as a colour that tells it
// from an even split.
func heatCell(c *canvas, share, even, x0, y0, x1, y1 float64) {
	strong, part := lineColor(0), 0.0
	if even < 1 {
		part = (share - even) / (1 - even)
	}
	if part < 0 {
		strong, part = lineColor(1), -part
	}
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + min(1, part)*(float64(b)-float64(a)))) }
	c.rect(color.NRGBA{mix(shade.R, strong.R), mix(shade.G, strong.G), mix(shade.B, strong.B), 0xff}, x0, y0, x1, y1)
	text := fmt.Sprintf("%.0f", 100*share)
	if textWidth(smallText, false, text) > x1-x0-2 {
		return
	}
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
