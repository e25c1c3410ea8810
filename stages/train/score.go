package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/schema"
)

type scoreConfig struct {
	LocalModel

	Student   string `json:"student" default:"" doc:"The student in models that reads the paths; may be left out where there is one."`
	Untrained bool   `json:"untrained" default:"false" doc:"Take the student as it was before training."`
	Name      string `json:"name" default:"" doc:"Name of the score in a path's scores; by default the student's, or model."`
	Target    string `json:"student_target" default:"response" choices:"response|reasoning|reasoning+response" doc:"What of a path is scored, as in train-sft."`
	Keep      int    `json:"keep" default:"0" min:"0" doc:"Keep so many paths of each problem, those that are best by by; 0 keeps all. Paths without a score are not kept."`
	By        string `json:"by" default:"rsr" choices:"rsr|loss_per_byte|perplexity" doc:"What keep goes by: the paths with the lowest value are best, and of equal ones the first."`
	Batch     int    `json:"batch" default:"16" min:"1" doc:"Paths per forward pass."`
	Device    string `json:"device" default:"auto" semantic:"false" doc:"Where to run: auto, cpu, xla, cuda or cuda:N."`
}

// Validate checks what tags cannot.
func (c scoreConfig) Validate() error {
	errs := []error{c.LocalModel.validate()}
	if c.Name != "" && !fileName(c.Name) {
		errs = append(errs, stage.Invalid("name", "%q cannot name a score: use letters, digits, - and _", c.Name))
	}
	if c.Model != "" && (c.Student != "" || c.Untrained) {
		errs = append(errs, stage.Invalid("model", "takes the place of a student: leave student and untrained out"))
	}
	if c.By != "rsr" && c.Keep == 0 {
		errs = append(errs, stage.Invalid("by", "belongs to keep, which is not given"))
	}
	if err := device.Valid(c.Device); err != nil {
		errs = append(errs, stage.Invalid("device", "%v", err))
	}
	return errors.Join(errs...)
}

// Estimate implements [stage.Estimator]: every problem stays a row.
func (c scoreConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"problems": q.Rows("problems")}}, nil
}

type scoreIn struct {
	Problems stage.Rows[schema.Problem] `port:"problems" doc:"Problems with answered paths."`
	Models   stage.Dir                  `port:"models,optional" doc:"The models folder of train-moe or train-sft."`
}

type scoreOut struct {
	Problems *stage.Writer[schema.Problem] `port:"problems" doc:"The same problems with scores in their paths, and with keep only the best paths of each."`
}

// Score measures how well a model expects reasoning paths.
var Score = stage.Define(stage.Spec{
	Type:    "score",
	Version: 1,
	Class:   stage.Pure,
	Doc: `Scores reasoning paths by one forward pass of the model that is to learn them.
The model is a student of train-moe or train-sft, or a published one, as it stands. It reads
a path as in training: the plain question, or the styled one that the student was trained
with, and then what student_target names. Each path gets scores.NAME with tokens,
loss_per_byte, perplexity, surprisal, rank and rsr, which filter and other row stages read
as scores.NAME.rsr. Scores by other names stay, so that several models can score the same
paths. loss_per_byte is what the router of train-moe compares.

rsr is the rank-surprisal ratio (arXiv 2601.14249): the mean place of a path's tokens among
all tokens, each counted as 100 at the most, over their mean surprisal. It is low, and the path
suits the model, where the tokens are improbable but still among the model's first choices.

Paths that training would leave out (no whole answer, verified wrong, judged invalid, nothing
that student_target names) and those that are longer than the model's positions get no score.`,
	Platform: platform,
}, runScore)

func runScore(ctx context.Context, env *stage.Env, c scoreConfig, in scoreIn, out scoreOut) error {
	dev, err := openDevice(env, c.Device)
	if err != nil {
		return err
	}
	m, err := c.reader(ctx, env, dev, in.Models)
	if err != nil {
		return err
	}
	defer m.close()
	s := scoring{config: c, env: env, reader: m}
	for p, err := range in.Problems.All() {
		if err != nil {
			return err
		}
		if err := s.add(p); err != nil {
			return err
		}
		if len(s.waiting) < scoreWindow*c.Batch {
			continue
		}
		if err := s.flush(ctx, out.Problems); err != nil {
			return err
		}
	}
	if err := s.flush(ctx, out.Problems); err != nil {
		return err
	}
	if s.long > 0 {
		env.Warn("%d of %d paths are longer than the model's %d positions and have no score", s.long, s.paths, m.maxSeq)
	}
	return nil
}

// scoreWindow is how many batches are laid out together: paths of about the same length
// share one.
const scoreWindow = 16

// reader opens the model that reads the paths.
func (c scoreConfig) reader(ctx context.Context, env *stage.Env, dev *device.Device, models stage.Dir) (*pathReader, error) {
	var shared bases
	shared.hub.Progress = fetching(env)
	job := pretrained.Job{Rows: c.Batch, Seq: 2 * maxNewModel, LossTokens: c.Batch * maxNewModel}
	if c.Model != "" {
		m, err := c.open(ctx, dev, job, &shared)
		if err != nil {
			return nil, err
		}
		return readPublished(m, cmp.Or(c.Name, "model"))
	}
	info, err := readModels(models.Path)
	if err != nil {
		return nil, err
	}
	student := c.Student
	switch {
	case student != "":
	case len(info.Students) == 1:
		student = info.Students[0]
	default:
		return nil, fmt.Errorf("models holds several students: name one of %s in student", strings.Join(info.Students, ", "))
	}
	if err := info.has(student); err != nil {
		return nil, err
	}
	dir := studentDir(models.Path, student, c.Untrained)
	m, err := openAdapted(ctx, dev, dir, job, &shared)
	if err != nil {
		return nil, fmt.Errorf("student %s: %w", student, err)
	}
	name := cmp.Or(c.Name, student)
	var r *pathReader
	if m == nil {
		r, err = readScratch(dev, dir, name)
	} else {
		r, err = readPublished(m, name)
	}
	if err != nil {
		return nil, fmt.Errorf("student %s: %w", student, err)
	}
	r.studentPrompt = info.StudentPrompt
	return r, nil
}

// scoring is the rows that wait for their scores.
type scoring struct {
	config scoreConfig
	env    *stage.Env
	reader *pathReader

	problems []schema.Problem
	waiting  []waitingPath
	paths    int // that were read
	long     int // of them longer than the model's positions
	done     int64
}

// waitingPath is a path that is to be scored.
type waitingPath struct {
	sequence
	problem, path int // in problems, and among its paths
	bytes         int
	score         schema.PathScore
}

// add encodes the paths of a problem.
func (s *scoring) add(p schema.Problem) error {
	u := use{quality: Quality{true, true}, prompt: s.reader.studentPrompt, target: Target{StudentTarget: s.config.Target}}
	paths, err := u.paths(p)
	if err != nil {
		return err
	}
	for _, t := range paths {
		if t.response == "" {
			continue
		}
		s.paths++
		q, err := s.reader.encode(t)
		if err != nil {
			return fmt.Errorf("problem %s: %w", p.ID, err)
		}
		switch {
		case len(q.ids) > s.reader.maxSeq:
			s.long++
		case q.supervised() > 0:
			s.waiting = append(s.waiting, waitingPath{sequence: q, problem: len(s.problems), path: t.index, bytes: len(t.response)})
		}
	}
	s.problems = append(s.problems, p)
	return nil
}

// flush scores what waits and writes the problems.
func (s *scoring) flush(ctx context.Context, out *stage.Writer[schema.Problem]) error {
	slices.SortStableFunc(s.waiting, func(a, b waitingPath) int { return cmp.Compare(len(a.ids), len(b.ids)) })
	for part := range slices.Chunk(s.waiting, s.config.Batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		seqs := make([]sequence, len(part))
		for i, w := range part {
			seqs[i] = w.sequence
		}
		sums, err := s.reader.read(seqs, s.config.Batch)
		if err != nil {
			return err
		}
		for i, x := range sums {
			w := &part[i]
			if w.score = x.score(w.supervised(), w.bytes); math.IsNaN(w.score.RSR) || math.IsInf(w.score.Perplexity, 0) {
				return fmt.Errorf("problem %s: the model's loss on path %d is %v, not finite: in bf16, try precision: f32", s.problems[w.problem].ID, w.path, x.nll)
			}
		}
		s.done += int64(len(part))
		s.env.Progress(stage.Progress{Done: s.done, Unit: "paths"})
	}
	scored := make([][]waitingPath, len(s.problems))
	for _, w := range s.waiting {
		if err := s.problems[w.problem].Paths[w.path].SetScore(s.reader.name, w.score); err != nil {
			return fmt.Errorf("problem %s: %w", s.problems[w.problem].ID, err)
		}
		scored[w.problem] = append(scored[w.problem], w)
	}
	for i, p := range s.problems {
		if s.config.Keep > 0 {
			p.Paths = s.config.best(p.Paths, scored[i])
		}
		if err := out.Write(p); err != nil {
			return err
		}
	}
	s.problems, s.waiting = s.problems[:0], s.waiting[:0]
	return nil
}

// best are the paths that are kept, in the order in which they stand.
func (c scoreConfig) best(paths []schema.Path, scored []waitingPath) []schema.Path {
	by := func(w waitingPath) float64 {
		switch c.By {
		case "loss_per_byte":
			return w.score.LossPerByte
		case "perplexity":
			return w.score.Perplexity
		}
		return w.score.RSR
	}
	slices.SortFunc(scored, func(a, b waitingPath) int {
		return cmp.Or(cmp.Compare(by(a), by(b)), cmp.Compare(a.path, b.path))
	})
	scored = scored[:min(len(scored), c.Keep)]
	slices.SortFunc(scored, func(a, b waitingPath) int { return cmp.Compare(a.path, b.path) })
	kept := []schema.Path{}
	for _, w := range scored {
		kept = append(kept, paths[w.path])
	}
	return kept
}
