package analyze

import (
	"cmp"
	"math"
	"slices"

	"github.com/distillflow/distillflow/schema"
)

// lossCurves are the metrics that the figure of losses draws.
var lossCurves = []struct {
	metric, name string
	color        int
}{
	{"warmup_loss", "warm-up", 7},
	{"loss", "training", 0},
	{"dev_loss", "held out", 1},
}

// lossFigure has a panel for each student, with its losses over the steps.
func lossFigure(metrics []schema.Metric) (figure, string) {
	type line struct{ student, metric string }
	values := map[line][]measured{}
	var students []string
	x, y := scale{min: math.Inf(1), max: math.Inf(-1)}, scale{min: math.Inf(1), max: math.Inf(-1)}
	used := map[string]bool{}
	for _, m := range metrics {
		drawn := m.Student != "" && !math.IsNaN(m.Value) && !math.IsInf(m.Value, 0)
		for _, l := range lossCurves {
			if !drawn || l.metric != m.Name {
				continue
			}
			students = append(students, m.Student)
			used[l.metric] = true
			values[line{m.Student, l.metric}] = append(values[line{m.Student, l.metric}], measured{x: float64(m.Step), y: m.Value})
			x.min, x.max = min(x.min, float64(m.Step)), max(x.max, float64(m.Step))
			y.min, y.max = min(y.min, m.Value), max(y.max, m.Value)
		}
	}
	students = distinct(students)
	if len(students) == 0 {
		return figure{}, "there are no losses among the metrics"
	}
	for _, v := range values {
		slices.SortStableFunc(v, func(a, b measured) int { return cmp.Compare(a.x, b.x) })
	}
	f := figure{name: "loss", title: "Loss over the steps of training", about: "Cross-entropy per token, in nats"}
	// Where losses fall far, a linear axis would lay the end of the curve flat.
	if y.log = y.min > 0 && y.max > 20*y.min; y.log {
		f.about += "; logarithmic scale"
	} else {
		y.min = min(0, y.min)
	}
	for _, l := range lossCurves {
		if used[l.metric] {
			f.legend = append(f.legend, legendEntry{l.name, lineColor(l.color)})
		}
	}
	t := tiles{len(students), min(2, len(students))}
	const height = 170
	f.height = height*float64(t.rows()) + 6
	f.draw = func(c *canvas) {
		for i, student := range students {
			left0, top, w := t.box(i, height)
			p := panel{x: x, y: y}
			p.x.from, p.x.to = left0+36, left0+w-14
			p.y.from, p.y.to = top+height-32, top+24
			c.textBold(labelText, ink, p.x.from, top+12, left, fit(labelText, true, student, w-40))
			p.grid(c, p.x.ticks(5), p.y.ticks(6))
			c.text(smallText, grey, (p.x.from+p.x.to)/2, p.y.from+26, center, "step")
			for _, l := range lossCurves {
				p.curve(c, lineColor(l.color), values[line{student, l.metric}])
			}
		}
	}
	return f, ""
}
