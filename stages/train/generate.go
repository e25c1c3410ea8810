package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/schema"
)

type generateConfig struct {
	LocalModel
	Name string `json:"name" default:"model" doc:"Name of model in the styles of paths."`

	Students  []string `json:"students" default:"[]" doc:"Names of the students in models that are asked; empty means all."`
	Untrained bool     `json:"untrained" default:"false" doc:"Ask the students as they were before training."`

	Samples     int     `json:"samples" default:"1" min:"1" max:"1000" doc:"Answers per student and problem. More than one needs a temperature."`
	Temperature float64 `json:"temperature" default:"0" min:"0" max:"5" doc:"0 takes the most probable token; above it tokens are drawn."`
	TopP        float64 `json:"top_p" default:"1" min:"0" max:"1" doc:"Draw from the most probable tokens that reach this probability together."`
	TopK        int     `json:"top_k" default:"0" min:"0" doc:"Draw from so many of the most probable tokens; 0 means all."`
	MaxNew      int     `json:"max_new" default:"0" min:"0" doc:"Most new tokens per answer; 0 means as long as the longest completion in training, and a few more, and 512 for model. Thoughts count: a model that thinks needs thousands."`
	MaxRows     int     `json:"max_rows" default:"0" min:"0" doc:"Ask at most this many problems, from the start; 0 means all."`
	Batch       int     `json:"batch" default:"64" min:"1" doc:"Answers per generation batch."`
	Device      string  `json:"device" default:"auto" semantic:"false" doc:"Where to run: auto, cpu, xla, cuda or cuda:N."`
}

// maxNewModel is generateConfig.MaxNew for a model whose training is not known.
const maxNewModel = 512

// Validate checks what tags cannot.
func (c generateConfig) Validate() error {
	var errs []error
	if c.Name == "" || !fileName(c.Name) {
		errs = append(errs, stage.Invalid("name", "%q cannot name a student: use letters, digits, - and _", c.Name))
	}
	if c.Samples > 1 && c.Temperature == 0 {
		errs = append(errs, stage.Invalid("samples", "%d answers at temperature 0 are all the same: set a temperature", c.Samples))
	}
	errs = append(errs, c.LocalModel.validate())
	if c.Model != "" && (len(c.Students) > 0 || c.Untrained) {
		errs = append(errs, stage.Invalid("model", "takes the place of students: leave students and untrained out"))
	}
	if err := device.Valid(c.Device); err != nil {
		errs = append(errs, stage.Invalid("device", "%v", err))
	}
	return errors.Join(errs...)
}

// Estimate implements [stage.Estimator]: every problem stays a row.
func (c generateConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("problems")
	if n := float64(c.MaxRows); rows != nil && n > 0 {
		rows = &stage.Range{Min: min(rows.Min, n), Max: min(rows.Max, n)}
	}
	return stage.Estimate{Rows: map[string]*stage.Range{"problems": rows}}, nil
}

type generateIn struct {
	Problems stage.Rows[schema.Problem] `port:"problems" doc:"Problems whose questions are asked."`
	Models   stage.Dir                  `port:"models,optional" doc:"The models folder of train-moe or train-sft."`
}

type generateOut struct {
	Problems *stage.Writer[schema.Problem] `port:"problems" doc:"The same problems, their paths replaced by the students' answers: style student:NAME, one path per sample."`
}

// Generate lets students answer problems as a teacher would.
var Generate = stage.Define(stage.Spec{
	Type:    "generate",
	Version: 5,
	Class:   stage.Seeded,
	Doc: `Lets trained students, or a published model, answer problems.
Each answer becomes a path of style student:NAME, so that extract, verify and accuracy read
it like a teacher's. A student reads the plain question, with its choices, premise or table, as in training and in
evaluate-students; the path keeps the prompt. What a student thinks becomes the path's
reasoning; one that is cut off while it thinks has no response. finish_reason is stop where the student
ended its answer and length where it was cut off, by max_new or by its positions. A question that
leaves no room for an answer gets a path with an error. What is drawn for an answer depends on the seed, the problem's
id, the student and the sample alone: more samples keep the ones that were there.`,
	Platform: platform,
}, runGenerate)

// asked is one student that generate asks.
type asked struct {
	name   string
	maxNew int
	open   func(ctx context.Context) (answerer, error)
}

func runGenerate(ctx context.Context, env *stage.Env, c generateConfig, in generateIn, out generateOut) error {
	dev, err := openDevice(env, c.Device)
	if err != nil {
		return err
	}
	students, err := c.students(env, dev, in.Models)
	if err != nil {
		return err
	}
	var problems []schema.Problem
	for p, err := range in.Problems.All() {
		if err != nil {
			return err
		}
		p.Paths = nil
		if problems = append(problems, p); c.MaxRows > 0 && len(problems) == c.MaxRows {
			break
		}
	}
	total := int64(len(problems) * len(students) * c.Samples)
	var done int64
	for _, a := range students {
		s, err := a.open(ctx)
		if err == nil {
			err = c.ask(ctx, env, a, s, problems, func(n int) {
				done += int64(n)
				env.Progress(stage.Progress{Done: done, Total: total, Unit: "answers"})
			})
		}
		if err != nil {
			return fmt.Errorf("student %s: %w", a.name, err)
		}
	}
	for _, p := range problems {
		if err := out.Problems.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// students lists who is asked, in the order of the models folder.
func (c generateConfig) students(env *stage.Env, dev *device.Device, models stage.Dir) ([]asked, error) {
	var shared bases
	shared.hub.Progress = fetching(env)
	if c.Model != "" {
		return []asked{{name: c.Name, maxNew: maxNewModel, open: func(ctx context.Context) (answerer, error) {
			m, err := c.open(ctx, dev, pretrained.Job{Rows: c.Batch, Seq: max(c.MaxNew, maxNewModel) + usualPrompt, Prompt: usualPrompt}, &shared)
			if err != nil {
				return answerer{}, err
			}
			return published(m)
		}}}, nil
	}
	info, err := readModels(models.Path)
	if err != nil {
		return nil, err
	}
	for _, name := range c.Students {
		if err := info.has(name); err != nil {
			return nil, err
		}
	}
	var out []asked
	for _, name := range info.Students {
		if len(c.Students) > 0 && !slices.Contains(c.Students, name) {
			continue
		}
		dir := studentDir(models.Path, name, c.Untrained)
		out = append(out, asked{name: name, maxNew: info.MaxNew, open: func(ctx context.Context) (answerer, error) {
			return loadStudent(ctx, dev, dir, c.Batch, &shared)
		}})
	}
	return out, nil
}

// ask adds a student's answers to the problems.
func (c generateConfig) ask(ctx context.Context, env *stage.Env, a asked, s answerer, problems []schema.Problem, progress func(n int)) error {
	if c.MaxNew > 0 {
		a.maxNew = c.MaxNew
	}
	o := generate.Options{MaxNew: a.maxNew, Batch: c.Batch, Temperature: c.Temperature, TopP: c.TopP, TopK: c.TopK}
	if len(problems) == 0 {
		return nil
	}
	var prompts [][]int32
	var rows, replicates []int
	long := 0
	for i := range problems {
		asked, err := plainQuestion(problems[i])
		if err != nil {
			return err
		}
		ids, err := s.prompt(asked)
		if err != nil {
			return fmt.Errorf("problem %s: %w", problems[i].ID, err)
		}
		fits := len(ids) < s.maxSeq
		if !fits {
			long++
			progress(c.Samples)
		}
		for k := range c.Samples {
			path := schema.Path{Style: "student:" + a.name, Replicate: k, Prompt: asked, Provider: "student/" + a.name}
			if !fits {
				path.Error = fmt.Sprintf("the question has %d tokens: the model's %d positions leave no room for an answer", len(ids), s.maxSeq)
			} else {
				prompts, rows, replicates = append(prompts, ids), append(rows, i), append(replicates, k)
				o.Seeds = append(o.Seeds, streamSeed(env.Seed, fmt.Sprintf("generate/%s/%d/%s", a.name, k, problems[i].ID)))
			}
			problems[i].Paths = append(problems[i].Paths, path)
		}
	}
	if long > 0 {
		env.Warn("student %s: %d of %d questions leave no room for an answer in its %d positions and stay without one", a.name, long, len(problems), s.maxSeq)
	}
	last := 0
	o.Progress = func(n, _ int) { progress(n - last); last = n }
	out, err := s.generate(ctx, prompts, o)
	if err != nil {
		return err
	}
	first := len(problems[0].Paths) - c.Samples // every problem got as many paths
	for n, x := range out {
		path := &problems[rows[n]].Paths[first+replicates[n]]
		path.Reasoning, path.Response, _ = s.read(s.decode(x.IDs))
		path.FinishReason = "length"
		if x.Ended {
			path.FinishReason = "stop"
		}
	}
	return nil
}
