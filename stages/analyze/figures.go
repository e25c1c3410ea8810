package analyze

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// The file formats of figures.
const (
	svgFormat = "svg"
	pngFormat = "png"
)

type figuresConfig struct {
	Formats []string `json:"formats" default:"[\"svg\",\"png\"]" doc:"What to write of each figure: svg, png (1000 pixels wide), or both."`
	Sizes   []int    `json:"sizes" doc:"For a sample-size figure: how many problems the students were trained on, in the order of the inputs of scores. Each size has equally many inputs side by side, such as seeds. Runs of one size are averaged."`
}

// Validate implements the check of a config.
func (c figuresConfig) Validate() error {
	if len(c.Formats) == 0 {
		return errors.New("formats is empty; name svg, png or both")
	}
	for i, f := range c.Formats {
		if f != svgFormat && f != pngFormat {
			return fmt.Errorf("formats: %q is not a format of figures; take svg or png", f)
		}
		if slices.Contains(c.Formats[:i], f) {
			return fmt.Errorf("formats names %s twice", f)
		}
	}
	for _, n := range c.Sizes {
		if n < 1 {
			return fmt.Errorf("sizes: %d is not a number of problems; they count from 1", n)
		}
	}
	return nil
}

// Wired implements [stage.Wired].
func (c figuresConfig) Wired(sources func(string) int) error {
	scores := sources("scores")
	if sources("rates")+scores+sources("arms")+sources("accuracy")+sources("metrics") == 0 {
		return errors.New("nothing to draw: connect rates, scores, arms, accuracy or metrics")
	}
	if n := len(c.Sizes); n > 0 && (scores == 0 || scores%n != 0) {
		return fmt.Errorf("sizes has %s for %s of scores; give each size equally many inputs", text.Plural(n, "value"), text.Plural(scores, "input"))
	}
	return nil
}

type figuresIn struct {
	Rates    stage.Rows[schema.Rate]     `port:"rates,optional" doc:"Of posrate, for routing and shares."`
	Scores   []stage.Rows[schema.Score]  `port:"scores,optional" doc:"Of evaluate-students, for accuracy or, with sizes, for sample-size. Several are runs of the same systems, such as the legs of a matrix over seeds."`
	Arms     stage.Rows[schema.ArmScore] `port:"arms,optional" doc:"Of compare-arms, for arms."`
	Accuracy stage.Rows[schema.Accuracy] `port:"accuracy,optional" doc:"Of accuracy, for teacher."`
	Metrics  stage.Rows[schema.Metric]   `port:"metrics,optional" doc:"Of train-moe or train-sft, for loss."`
}

type figuresOut struct {
	Report *stage.OutDir `port:"report" doc:"NAME.svg and NAME.png of each figure, and figures.md, which shows them all and names those that were left out."`
}

// Figures is the stage type figures.
var Figures = stage.Define(stage.Spec{
	Type: "figures", Version: 2, Class: stage.Pure,
	Doc: `Draws what the tables of a run say, as SVG and PNG.

routing: a heat map of the share of each style that went to each student, per epoch.
shares: the same shares over the epochs, with 95 % intervals. accuracy: the systems
of evaluate-students with 95 % intervals; of several runs, their mean and each of
them. sample-size: accuracy against the number of problems trained on. arms: the
mean accuracy of the students of each arm of compare-arms, with 95 % intervals.
teacher: the teacher's accuracy by style. loss: the losses of each student over the
steps.

Every input is optional. A figure without anything to show is left out, and
figures.md says why. The same tables give the same bytes.`,
}, runFigures)

// drawing is a figure, or why there is none.
type drawing struct {
	name   string
	figure figure
	why    string // "": the figure is there
	given  bool   // its input was connected
}

func runFigures(ctx context.Context, env *stage.Env, c figuresConfig, in figuresIn, out figuresOut) error {
	rates, err := rowsOf(in.Rates)
	if err != nil {
		return err
	}
	arms, err := rowsOf(in.Arms)
	if err != nil {
		return err
	}
	teacher, err := rowsOf(in.Accuracy)
	if err != nil {
		return err
	}
	metrics, err := rowsOf(in.Metrics)
	if err != nil {
		return err
	}
	var runs [][]schema.Score
	for _, r := range in.Scores {
		scores, err := rowsOf(r)
		if err != nil {
			return err
		}
		// Those of some of the problems would pass for further runs.
		scores = slices.DeleteFunc(scores, func(s schema.Score) bool { return s.Group != "" })
		runs = append(runs, scores)
	}
	var list []drawing
	add := func(name, port string, given bool, draw func() (figure, string)) {
		d := drawing{name: name, given: given, why: fmt.Sprintf("its input %s is not connected", port)}
		if given {
			d.figure, d.why = draw()
		}
		list = append(list, d)
	}
	add("routing", "rates", in.Rates.Given(), func() (figure, string) { return routingFigure(rates) })
	add("shares", "rates", in.Rates.Given(), func() (figure, string) { return sharesFigure(rates) })
	if len(c.Sizes) > 0 {
		add("sample-size", "scores", true, func() (figure, string) { return sampleSizeFigure(runs, c.Sizes) })
	} else {
		add("accuracy", "scores", len(runs) > 0, func() (figure, string) { return scoresFigure(runs) })
	}
	add("arms", "arms", in.Arms.Given(), func() (figure, string) { return armsFigure(arms) })
	add("teacher", "accuracy", in.Accuracy.Given(), func() (figure, string) { return teacherFigure(teacher) })
	add("loss", "metrics", in.Metrics.Given(), func() (figure, string) { return lossFigure(metrics) })

	for _, d := range list {
		if d.why != "" {
			if d.given {
				env.Warn("no figure %s: %s", d.name, d.why)
			}
			continue
		}
		for _, format := range c.Formats {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := d.figure.write(out.Report.Path, format); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(out.Report.Path, "figures.md"), []byte(figuresMarkdown(list, c.Formats[0])), 0o644); err != nil {
		return fmt.Errorf("writing the list of figures: %w", err)
	}
	return nil
}

func figuresMarkdown(list []drawing, format string) string {
	var b strings.Builder
	b.WriteString("# Figures\n")
	for _, d := range list {
		if d.why == "" {
			fmt.Fprintf(&b, "\n![%s. %s.](%s.%s)\n", d.figure.title, d.figure.about, d.name, format)
		}
	}
	out := slices.DeleteFunc(slices.Clone(list), func(d drawing) bool { return d.why == "" })
	if len(out) > 0 {
		b.WriteString("\nLeft out:\n\n")
	}
	for _, d := range out {
		fmt.Fprintf(&b, "- %s: %s.\n", d.name, d.why)
	}
	return b.String()
}

// rowsOf reads an input whole: a damaged line would make a figure that looks right.
func rowsOf[T stage.Record](r stage.Rows[T]) ([]T, error) {
	var out []T
	for row, err := range r.All() {
		if err != nil {
			return nil, fmt.Errorf("reading what to draw: %w", err)
		}
		out = append(out, row)
	}
	return out, nil
}
