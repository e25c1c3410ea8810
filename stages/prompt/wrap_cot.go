package prompt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

type wrapConfig struct {
	Styles    []string          `json:"styles" default:"[\"cot\",\"code\",\"knowledge\",\"tree\",\"forward-backward\",\"plain\"]" doc:"The reasoning styles, in order: cot, code, knowledge, tree, forward-backward, plain, power, or your own with a template."`
	N         int               `json:"n" default:"0" min:"0" doc:"Paths per row, cycling through the styles; 0 makes one path per style."`
	Templates map[string]string `json:"templates" default:"{}" doc:"Templates by style, for your own styles and in place of the built-in ones. Placeholders: {core}, {question}, {choices}, {premise}, {hypothesis}, {table}, {answer_format}."`
	Core      map[string]string `json:"core" default:"{}" doc:"Core prompts by task, in place of the built-in ones, with the same placeholders except {core}."`
	Shots     *shotsConfig      `json:"shots" doc:"Few-shot examples before each question. Their rows come from the input shots, as in from: {problems: tests, shots: parts.train}."`
}

// Validate checks the styles and the templates.
func (c wrapConfig) Validate() error {
	var errs []error
	if len(c.Styles) == 0 {
		errs = append(errs, stage.Invalid("styles", "name at least one style"))
	}
	for i, s := range c.Styles {
		_, builtIn := prompts.Template(s)
		_, own := c.Templates[s]
		at := fmt.Sprint("styles.", i)
		switch {
		case !builtIn && !own:
			errs = append(errs, stage.FieldError{
				Path: strings.Split(at, "."), Got: s, Candidates: append(prompts.Styles(), slices.Sorted(maps.Keys(c.Templates))...),
				Msg: fmt.Sprintf("there is no style %q: use one of %s, or give it a template under templates", s, strings.Join(prompts.Styles(), ", ")),
			})
		case slices.Index(c.Styles, s) < i:
			errs = append(errs, stage.Invalid(at, "style %q is listed twice; for several paths of a style set n", s))
		}
	}
	for _, s := range slices.Sorted(maps.Keys(c.Templates)) {
		_, builtIn := prompts.Template(s)
		if err := prompts.Check(c.Templates[s]); err != nil {
			errs = append(errs, invalidKey("templates", s, err.Error()))
		} else if !builtIn && !slices.Contains(c.Styles, s) {
			errs = append(errs, invalidKey("templates", s, fmt.Sprintf("no style %q is listed under styles", s)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Core)) {
		if preset, ok := task.Preset(name); !ok {
			errs = append(errs, stage.FieldError{
				Path: []string{"core", name}, OnKey: true, Got: name, Candidates: task.Presets(),
				Msg: fmt.Sprintf("there is no task %q; a task that the recipe declares has its prompt there", name),
			})
		} else if err := prompts.CheckCore(name, preset, c.Core[name]); err != nil {
			errs = append(errs, invalidKey("core", name, err.Error()))
		}
	}
	return errors.Join(errs...)
}

// invalidKey points at one entry of a map, whose key may contain dots.
func invalidKey(field, key, msg string) error {
	return stage.FieldError{Path: []string{field, key}, Msg: msg}
}

// Estimate implements [stage.Estimator]: every row stays a row.
func (wrapConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"prompts": q.Rows("problems")}}, nil
}

type wrapIn struct {
	Problems stage.Rows[schema.Problem] `port:"problems" doc:"Rows with questions."`
	Shots    stage.Rows[schema.Problem] `port:"shots,optional" doc:"Rows to take few-shot examples from, for the config's shots."`
}

type wrapOut struct {
	Prompts *stage.Writer[schema.Problem] `port:"prompts" doc:"The rows, each with one path per prompt."`
}

// WrapCoT writes the teacher's prompts.
var WrapCoT = stage.Define(stage.Spec{
	Type: "wrap-cot", Version: 1, Class: stage.Pure, RowByRow: "problems",
	Doc: `Wraps each question in several reasoning styles, one path per prompt.

Every prompt holds the task's core prompt (question, choices, premise and
hypothesis, or table), the style's instruction, and how to state the final answer;
for multiple choice that names the letters of the row. The styles:
  cot               step by step
  code              a program whose print gives the answer
  knowledge         relevant knowledge first, then the answer
  tree              several branches, of which the best is followed
  forward-backward  forward to an answer, backward to check it
  plain             the question alone
  power             break down, solve each part, double-check

With n, the styles are gone through again and again until a row has n paths; the
second path of a style is its replicate 1. Paths that a row brings along are kept,
and only the missing ones are added.

With shots, n solved examples of the row's task stand before each question: core prompt and
answer. They come from the input shots and are the same for all rows, chosen by the
seed and their questions. The row itself is never among them, by id or by question, nor
is a row whose field split is test; the next example takes its place. An example's answer
is that of a path it brings along, of the same style if there is one, unless it was found
wrong or cut off; without one it is the gold answer in the task's answer format.`,
}, wrapCoT)

func wrapCoT(ctx context.Context, env *stage.Env, c wrapConfig, in wrapIn, out wrapOut) error {
	templates := make([]string, len(c.Styles))
	for i, s := range c.Styles {
		templates[i] = c.Templates[s]
		if templates[i] == "" {
			templates[i], _ = prompts.Template(s)
		}
	}
	n := c.N
	if n == 0 {
		n = len(c.Styles)
	}
	examples, err := c.shots(ctx, in.Shots)
	if err != nil {
		return err
	}
	var rows int64
	for row, err := range in.Problems.All() {
		if err != nil {
			return fmt.Errorf("reading the problems: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		q, err := question(row)
		if err != nil {
			return err
		}
		had := row.Paths
		row.Paths = slices.Grow(slices.Clip(had), n)
		for i := range n {
			p := schema.Path{Style: c.Styles[i%len(c.Styles)], Replicate: i / len(c.Styles)}
			if slices.ContainsFunc(had, func(o schema.Path) bool { return o.Style == p.Style && o.Replicate == p.Replicate }) {
				continue
			}
			shots, err := examples.of(row, p.Style)
			if err != nil {
				return err
			}
			core := c.Core[row.Task]
			p.Prompt = prompts.WithShots(prompts.Render(templates[i%len(templates)], q, core), q, core, shots)
			row.Paths = append(row.Paths, p)
		}
		if err := out.Prompts.Write(row); err != nil {
			return err
		}
		if rows++; rows%1000 == 0 {
			env.Progress(stage.Progress{Done: rows, Unit: "rows"})
		}
	}
	return nil
}

// question is what a row's prompts are made from. A row whose prompt would lack what
// it asks about is an error.
func question(row schema.Problem) (prompts.Question, error) {
	q, err := prompts.Of(row)
	if err != nil {
		return q, fmt.Errorf("row %q: %w", row.ID, err)
	}
	if lacks := q.Lacks(); len(lacks) > 0 {
		return q, fmt.Errorf("row %q: a prompt for %s needs the field %s", row.ID, row.Task, strings.Join(lacks, " and "))
	}
	return q, nil
}
