package analyze

import (
	"fmt"
	"image/color"
	"slices"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// bar is one line of a figure of accuracies: a system, and its accuracy in each run.
type bar struct {
	name, note string
	color      color.NRGBA
	runs       []measured // y, low and high
}

// mean is the mean accuracy of the runs.
func (b bar) mean() float64 {
	var sum float64
	for _, r := range b.runs {
		sum += r.y
	}
	return sum / float64(len(b.runs))
}

// block is a group of lines below a heading.
type block struct {
	title string
	bars  []bar
}

const (
	barHeight   = 19
	blockHead   = 22
	blockBottom = 26
)

// barsFigure draws accuracies as points with intervals, one block below the other.
func barsFigure(f figure, blocks []block) figure {
	names, notes := 0.0, 0.0
	for _, b := range blocks {
		f.height += blockHead + blockBottom + barHeight*float64(len(b.bars))
		for _, r := range b.bars {
			names = max(names, textWidth(labelText, false, r.name))
			notes = max(notes, textWidth(smallText, false, r.note))
		}
	}
	names = min(names, 120)
	if notes > 0 {
		notes += 6
	}
	f.draw = func(c *canvas) {
		y := 0.0
		for _, b := range blocks {
			c.textBold(labelText, ink, figureEdge, y+12, left, fit(labelText, true, b.title, figureWidth-2*figureEdge))
			top := y + blockHead
			bottom := top + barHeight*float64(len(b.bars))
			x := scale{0, 1, figureEdge + names + notes + 12, figureWidth - figureEdge - 52, false}
			for _, t := range []tick{{0, "0 %"}, {.25, ""}, {.5, "50 %"}, {.75, ""}, {1, "100 %"}} {
				c.line(faint, .75, nil, x.at(t.at), top, x.at(t.at), bottom)
				c.text(smallText, grey, x.at(t.at), bottom+12, center, t.text)
			}
			for i, r := range b.bars {
				at := top + barHeight*(float64(i)+.5)
				name := fit(labelText, false, r.name, names)
				c.text(labelText, ink, figureEdge+names, at+3.5, right, name)
				c.text(smallText, grey, figureEdge+names+6, at+3.2, left, r.note)
				if len(r.runs) == 1 {
					c.line(r.color, 2, nil, x.at(r.runs[0].low), at, x.at(r.runs[0].high), at)
				}
				for _, run := range r.runs {
					if len(r.runs) > 1 {
						c.dot(translucent(r.color, 0x60), x.at(run.y), at, 3)
					}
				}
				c.dot(r.color, x.at(r.mean()), at, 3.5)
				c.text(labelText, ink, figureWidth-figureEdge, at+3.5, right, percent(r.mean()))
			}
			y = bottom + blockBottom
		}
	}
	return f
}

// kindColor tells systems that were trained from those to compare them with.
func kindColor(kind string) color.NRGBA {
	switch kind {
	case "trained":
		return lineColor(0)
	case "ensemble", "routed":
		return lineColor(1)
	}
	return grey
}

// scoresFigure compares systems, one block a task. Each element of runs is one run of
// the same systems, such as one seed.
func scoresFigure(runs [][]schema.Score) (figure, string) {
	blocks := map[string]*block{}
	var tasks []string
	for _, s := range inOrder(slices.Concat(runs...)) {
		b := blocks[s.Task]
		if b == nil {
			b = &block{title: text.Plural(s.Count, "question")}
			if s.Task != "" {
				b.title = fit(labelText, true, s.Task, 230) + ", " + b.title
			}
			blocks[s.Task] = b
			tasks = append(tasks, s.Task)
		}
		i := slices.IndexFunc(b.bars, func(r bar) bool { return r.name == s.System && r.note == s.Kind })
		if i < 0 {
			i = len(b.bars)
			b.bars = append(b.bars, bar{name: s.System, note: s.Kind, color: kindColor(s.Kind)})
		}
		b.bars[i].runs = append(b.bars[i].runs, measured{y: s.Accuracy, low: s.Low, high: s.High})
	}
	if len(tasks) == 0 {
		return figure{}, "there are no scores"
	}
	f := figure{name: "accuracy", title: "Accuracy of students and baselines", about: "Share of right answers on the test questions, with its 95 % interval"}
	if len(runs) > 1 {
		f.about = fmt.Sprintf("Share of right answers on the test questions: mean and single values of %d runs", len(runs))
	}
	var list []block
	for _, t := range tasks {
		list = append(list, *blocks[t])
	}
	return barsFigure(f, list), ""
}

// teacherFigure shows how often each style was right, one block a task and provider.
func teacherFigure(rows []schema.Accuracy) (figure, string) {
	var blocks []block
	last := group{}
	for _, r := range rows {
		if g := (group{task: r.Task, provider: r.Provider}); len(blocks) == 0 || g != last {
			title := orDash(r.Task)
			if r.Provider != "" {
				title += ", " + r.Provider
			}
			blocks, last = append(blocks, block{title: title}), g
		}
		b := &blocks[len(blocks)-1]
		one := bar{name: r.Style, color: lineColor(0), runs: []measured{{y: r.Accuracy, low: r.Low, high: r.High}}}
		if r.Style == allStyles {
			one.name, one.color = "every style", grey
		}
		b.bars = append(b.bars, one)
	}
	if len(blocks) == 0 {
		return figure{}, "no path was graded"
	}
	f := figure{name: "teacher", title: "Accuracy of the teacher by style", about: "Share of the paths with the right answer, with its 95 % interval"}
	return barsFigure(f, blocks), ""
}

// armsFigure compares the arms of an experiment by the mean of their students, one block
// a task. The first arm, which the others are set against, is grey.
func armsFigure(rows []schema.ArmScore) (figure, string) {
	var blocks []block
	last := ""
	for _, r := range rows {
		if r.System != meanOfStudents {
			continue
		}
		if len(blocks) == 0 || r.Task != last {
			title := orDash(r.Task) + ", " + text.Plural(r.Problems, "question") + ", " + text.Plural(r.Runs, "run")
			blocks, last = append(blocks, block{title: title}), r.Task
		}
		b := &blocks[len(blocks)-1]
		one := bar{name: r.Arm, color: lineColor(0), runs: []measured{{y: r.Accuracy, low: r.Low, high: r.High}}}
		if len(b.bars) == 0 {
			one.color = grey
		}
		b.bars = append(b.bars, one)
	}
	if len(blocks) == 0 {
		return figure{}, "there are no arms"
	}
	f := figure{name: "arms", title: "Accuracy by arm", about: "Share of right answers, mean of the students, with its 95 % interval"}
	return barsFigure(f, blocks), ""
}

// sampleSizeFigure shows accuracy against the number of problems trained on: each size has
// equally many runs, one after the other. Systems that were not trained stay out.
func sampleSizeFigure(runs [][]schema.Score, sizes []int) (figure, string) {
	type line struct{ task, system string }
	values := map[line]map[int][]measured{}
	var tasks, systems []string
	repeated := false
	for i, scores := range runs {
		size := sizes[i*len(sizes)/len(runs)]
		for _, s := range scores {
			if s.Kind != "trained" && s.Kind != "ensemble" {
				continue
			}
			tasks, systems = append(tasks, s.Task), append(systems, s.System)
			l := line{s.Task, s.System}
			if values[l] == nil {
				values[l] = map[int][]measured{}
			}
			values[l][size] = append(values[l][size], measured{float64(size), s.Accuracy, s.Low, s.High})
			repeated = repeated || len(values[l][size]) > 1
		}
	}
	tasks, systems = distinct(tasks), distinct(systems)
	all := slices.Compact(slices.Sorted(slices.Values(sizes)))
	switch {
	case len(tasks) == 0:
		return figure{}, "there are no scores of trained systems"
	case len(all) < 2:
		return figure{}, "accuracy against sample size needs two sizes or more"
	}
	f := figure{name: "sample-size", title: "Accuracy against sample size", about: "Share of right answers by problems trained on, with its 95 % interval"}
	if repeated {
		f.about = "Share of right answers by problems trained on: mean and single runs"
	}
	for i, s := range systems {
		f.legend = append(f.legend, legendEntry{text: fit(smallText, false, s, 120), color: lineColor(i)})
	}
	t := tiles{len(tasks), min(2, len(tasks))}
	height := 190.0
	if t.across > 1 {
		height = 150
	}
	f.height = height*float64(t.rows()) + 8
	var xs []tick
	for _, n := range all {
		xs = append(xs, tick{float64(n), number(float64(n))})
	}
	f.draw = func(c *canvas) {
		for i, task := range tasks {
			x, y, w := t.box(i, height)
			p := panel{scale{float64(all[0]), float64(all[len(all)-1]), x + 46, x + w - 18, true}, scale{0, 1, y + height - 32, y + 22, false}, 9}
			c.textBold(labelText, ink, x, y+12, left, fit(labelText, true, orDash(task), w))
			p.grid(c, thinned(xs, 6), percentTicks)
			c.text(smallText, grey, (p.x.from+p.x.to)/2, p.y.from+26, center, "problems trained on")
			for k, system := range systems {
				// Side by side: points on one another would hide their intervals.
				p := p
				dx := 3 * (float64(k) - float64(len(systems)-1)/2)
				p.x.from, p.x.to = p.x.from+dx, p.x.to+dx
				var means []measured
				for _, n := range all {
					at := values[line{task, system}][n]
					if len(at) == 0 {
						continue
					}
					mean := bar{runs: at}.mean()
					means = append(means, measured{x: float64(n), y: mean})
					for _, v := range at {
						if repeated {
							c.dot(translucent(lineColor(k), 0x60), p.x.at(v.x), p.y.at(v.y), 2.5)
							continue
						}
						c.line(lineColor(k), 1, nil, p.x.at(v.x), p.y.at(v.low), p.x.at(v.x), p.y.at(v.high))
					}
				}
				p.curve(c, lineColor(k), means)
			}
		}
	}
	return f, ""
}
