package report

import (
	"cmp"
	"encoding/base64"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
)

// Bounds of the figures.
const (
	maxTables = 6    // of a record type that are drawn; a run over many seeds has one for every leg
	maxPoints = 1000 // of one curve
)

// figureKinds are the names of the figures that [analyze.Draw] draws.
var figureKinds = []string{"arms", "accuracy", "routing", "shares", "teacher", "loss"}

// Figure is a picture.
type Figure struct {
	Title, About string
	Of           string       // the output that it shows, where there are several of the kind
	File         string       // its name beside the report, without an ending
	Source       template.URL `json:"-"`

	drawing analyze.Drawing
	svg     []byte
}

// figures draws the tables of the run, each output by itself.
func (p *Page) figures(r *runrecord.Run, t runTables) {
	draw(p, t.arms, func(rows []schema.ArmScore) analyze.Drawn { return analyze.Drawn{Arms: rows} })
	if t.summed() {
		t.scores = nil
	}
	draw(p, t.scores, func(rows []schema.Score) analyze.Drawn {
		var all []schema.Score
		for _, s := range rows {
			if s.Group == "" { // those of some of the problems would pass for further runs
				all = append(all, s)
			}
		}
		return analyze.Drawn{Scores: [][]schema.Score{all}}
	})
	draw(p, t.rates, func(rows []schema.Rate) analyze.Drawn { return analyze.Drawn{Rates: rows} })
	draw(p, t.accuracy, func(rows []schema.Accuracy) analyze.Drawn { return analyze.Drawn{Accuracy: rows} })
	draw(p, p.losses(r), func(rows []schema.Metric) analyze.Drawn { return analyze.Drawn{Metrics: rows} })
}

func draw[T stage.Record](p *Page, list []runrecord.Table[T], drawn func([]T) analyze.Drawn) {
	for i, t := range list {
		if i == maxTables {
			p.note("Figures show the first %d of %d outputs such as %s.", i, len(list), t.Output.Label())
			return
		}
		for _, d := range analyze.Draw(drawn(t.Rows)) {
			svg, err := d.SVG()
			if err != nil {
				p.failed(err)
				continue
			}
			f := Figure{Title: d.Title, About: d.About, File: d.Name, drawing: d, svg: svg,
				Source: template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))}
			if len(list) > 1 {
				f.Of = t.Output.Label()
				f.File += "-" + url.PathEscape(f.Of)
			}
			p.Figures = append(p.Figures, f)
		}
	}
}

// losses are the metrics of every training that are drawn, of long curves every so many
// steps.
func (p *Page) losses(r *runrecord.Run) []runrecord.Table[schema.Metric] {
	var list []runrecord.Table[schema.Metric]
	for _, s := range r.Stages {
		for _, o := range s.Outputs {
			if o.Record != (schema.Metric{}).RecordType() || len(list) > maxTables {
				continue
			}
			t := runrecord.Table[schema.Metric]{Output: o}
			curves := map[[2]string]*curve{}
			var err error
			for m, rerr := range runrecord.Stream[schema.Metric](r, o) {
				if err = rerr; err != nil {
					break
				}
				if m.Student == "" || !strings.HasSuffix(m.Name, "loss") {
					continue
				}
				c := curves[[2]string{m.Student, m.Name}]
				if c == nil {
					c = &curve{every: 1}
					curves[[2]string{m.Student, m.Name}] = c
				}
				c.add(m)
			}
			p.failed(err)
			for _, name := range slices.SortedFunc(maps.Keys(curves), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
				t.Rows = append(t.Rows, curves[name].points...)
			}
			list = append(list, t)
		}
	}
	return list
}

// curve keeps every so many values, so that it has at most maxPoints.
type curve struct {
	points       []schema.Metric
	every, count int
}

func (c *curve) add(m schema.Metric) {
	if c.count%c.every == 0 {
		c.points = append(c.points, m)
	}
	c.count++
	if len(c.points) < maxPoints {
		return
	}
	half := c.points[:0]
	for i := 0; i < len(c.points); i += 2 {
		half = append(half, c.points[i])
	}
	c.points = half
	c.every *= 2
}
