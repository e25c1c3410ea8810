package analyze

import "github.com/distillflow/distillflow/schema"

// Drawn is what figures are drawn from; empty parts give none.
type Drawn struct {
	Rates    []schema.Rate
	Scores   [][]schema.Score // several are runs of the same systems
	Arms     []schema.ArmScore
	Accuracy []schema.Accuracy
	Metrics  []schema.Metric
}

// Drawing is a figure, as the stage type figures draws it.
type Drawing struct {
	Name, Title, About string // Name is that of its file, without an ending
	figure             figure
}

// Draw gives the figures that have anything to show.
func Draw(d Drawn) []Drawing {
	var out []Drawing
	add := func(f figure, why string) {
		if why == "" {
			out = append(out, Drawing{f.name, f.title, f.about, f})
		}
	}
	add(armsFigure(d.Arms))
	add(scoresFigure(d.Scores))
	add(routingFigure(d.Rates))
	add(sharesFigure(d.Rates))
	add(teacherFigure(d.Accuracy))
	add(lossFigure(d.Metrics))
	return out
}

// SVG gives the figure as an SVG.
func (d Drawing) SVG() ([]byte, error) { return d.figure.encode(svgFormat) }

// PNG gives it as a PNG, 1000 pixels wide.
func (d Drawing) PNG() ([]byte, error) { return d.figure.encode(pngFormat) }
