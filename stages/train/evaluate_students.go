package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

type evalConfig struct {
	MaxNew    int    `json:"max_new" default:"0" min:"0" doc:"Most new tokens per answer; 0 means as long as the longest completion in training, and a few more. Thoughts count."`
	Batch     int    `json:"batch" default:"64" min:"1" doc:"Rows per generation batch."`
	MaxRows   int    `json:"max_rows" default:"0" min:"0" doc:"Evaluate on at most this many problems, from the start; 0 means all."`
	Untrained bool   `json:"untrained" default:"true" doc:"Also evaluate the students as they were before training."`
	Device    string `json:"device" default:"auto" semantic:"false" doc:"Where to run: auto, cpu, xla, cuda or cuda:N."`
}

type evalIn struct {
	Models   stage.Dir                  `port:"models" doc:"The models folder of train-moe or train-sft."`
	Problems stage.Rows[schema.Problem] `port:"problems" doc:"Test problems with gold answers. An id that occurs in training is an error."`
	Dev      stage.Rows[schema.Problem] `port:"dev,optional" doc:"Problems to calibrate the ensemble on. Without them, each half of the test problems is calibrated on the other half."`
}

type evalOut struct {
	Scores      *stage.Writer[schema.Score]      `port:"scores" doc:"Accuracy with Wilson 95 % intervals: each student trained and untrained, the ensemble, the most frequent gold answer, and as a bound the share that any student answers."`
	Predictions *stage.Writer[schema.Prediction] `port:"predictions" doc:"Each student's answer to each problem."`
}

// EvaluateStudents measures students on held-out problems.
var EvaluateStudents = stage.Define(stage.Spec{
	Type:    "evaluate-students",
	Version: 4,
	Class:   stage.Pure,
	Doc: `Measures trained students on held-out problems.
Each student reads the plain question, with its choices, premise or table, and writes greedily until its end token; only new
text is read for the answer, without what the student thinks before it. A student that is
cut off while it thinks gives no answer: max_new has to leave room for thoughts, as its
default does for those of training. The ensemble takes the answer of the student that is more
probably right, by log-probability per byte calibrated on other problems. The oracle row is
a bound, not a system: it counts a problem as solved when any student solves it.`,
	Platform: platform,
}, runEvaluate)

// answered is one student's answer to one problem.
type answered struct {
	text    string
	thought string
	pred    string
	correct bool
	perByte float64 // log-probability per byte of thought and text
}

// System kinds of schema.Score and schema.Prediction.
const (
	kindTrained   = "trained"
	kindUntrained = "untrained"
	kindEnsemble  = "ensemble"
	kindBaseline  = "baseline"
	kindBound     = "bound"
)

func runEvaluate(ctx context.Context, env *stage.Env, c evalConfig, in evalIn, out evalOut) error {
	dev, err := openDevice(env, c.Device)
	if err != nil {
		return err
	}
	var info modelsInfo
	if err := checkpoint.ReadJSON(filepath.Join(in.Models.Path, modelsFile), &info); err != nil {
		return fmt.Errorf("the models folder: %w", err)
	}
	if info.Format != modelsFormat {
		return fmt.Errorf("%s: format %d, this version reads %d: train again", modelsFile, info.Format, modelsFormat)
	}
	test, err := readTest(in.Problems, info.TrainIDs, c.MaxRows)
	if err != nil {
		return err
	}
	calib, err := readTest(in.Dev, info.TrainIDs, 0)
	if err != nil {
		return err
	}
	if c.MaxNew == 0 {
		c.MaxNew = info.MaxNew
	}
	e := evaluation{env: env, dev: dev, cfg: c, models: in.Models.Path}
	e.bases.hub.Progress = fetching(env)
	var jobs []job
	for _, name := range info.Students {
		jobs = append(jobs, job{name: name, kind: kindTrained, dir: name, problems: test})
		if in.Dev.Given() {
			jobs = append(jobs, job{name: name, kind: kindDev, dir: name, problems: calib})
		}
		if c.Untrained {
			jobs = append(jobs, job{name: name, kind: kindUntrained, dir: filepath.Join(untrainedDir, name), problems: test})
		}
	}
	if err := e.run(ctx, jobs); err != nil {
		return err
	}
	return writeScores(test, jobs, out)
}

// kindDev marks the answers that calibration reads; they are not written.
const kindDev = "dev"

// job is one model on one set of problems.
type job struct {
	name, kind, dir string
	problems        []schema.Problem
	answers         []answered
}

func readTest(rows stage.Rows[schema.Problem], trained []string, limit int) ([]schema.Problem, error) {
	if !rows.Given() {
		return nil, nil
	}
	var out []schema.Problem
	var both []string
	for p, err := range rows.All() {
		if err != nil {
			return nil, err
		}
		if _, found := slices.BinarySearch(trained, p.ID); found {
			both = append(both, p.ID)
		}
		if p.GoldAnswer == "" {
			return nil, fmt.Errorf("problem %s has no gold answer", p.ID)
		}
		if out = append(out, p); limit > 0 && len(out) == limit {
			break
		}
	}
	if len(both) > 0 {
		return nil, fmt.Errorf("%d test problems were trained on (%s ...): test on other rows", len(both), both[0])
	}
	if len(out) == 0 {
		return nil, errors.New("there is no problem to evaluate on")
	}
	return out, nil
}

type evaluation struct {
	env    *stage.Env
	dev    *device.Device
	cfg    evalConfig
	models string
	bases  bases
}

// run answers all jobs, as many side by side as there are processors.
func (e *evaluation) run(ctx context.Context, jobs []job) error {
	total := 0
	for _, j := range jobs {
		total += len(j.problems)
	}
	var mu sync.Mutex
	done := 0
	progress := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		e.env.Progress(stage.Progress{Done: int64(done), Total: int64(total), Unit: "answers"})
	}
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range jobs {
		g.Go(func() error {
			err := e.answer(ctx, &jobs[i], progress)
			if err != nil {
				return fmt.Errorf("student %s (%s): %w", jobs[i].name, jobs[i].kind, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (e *evaluation) answer(ctx context.Context, j *job, progress func(int)) error {
	m, err := loadStudent(ctx, e.dev, filepath.Join(e.models, j.dir), e.cfg.Batch, &e.bases)
	if err != nil {
		return err
	}
	j.answers = make([]answered, len(j.problems))
	var prompts [][]int32
	var rows []int
	maxNew := min(e.cfg.MaxNew, m.maxSeq-1)
	for i, p := range j.problems {
		asked, err := plainQuestion(p)
		if err != nil {
			return err
		}
		ids, err := m.prompt(asked)
		if err != nil {
			return fmt.Errorf("problem %s: %w", p.ID, err)
		}
		if len(ids)+maxNew > m.maxSeq {
			continue
		}
		prompts, rows = append(prompts, ids), append(rows, i)
	}
	if n := len(j.problems) - len(rows); n > 0 {
		e.env.Warn("student %s: %d of %d questions are longer than its %d positions and count as unanswered", j.name, n, len(j.problems), m.maxSeq)
	}
	last := 0
	out, err := m.generate(ctx, prompts,
		generate.Options{MaxNew: maxNew, Batch: e.cfg.Batch, Progress: func(done, _ int) { progress(done - last); last = done }})
	if err != nil {
		return err
	}
	for k, o := range out {
		p := j.problems[rows[k]]
		text := m.decode(o.IDs)
		var a answered
		var open bool
		a.thought, a.text, open = m.read(text)
		for _, l := range o.LogProbs {
			a.perByte += l
		}
		a.perByte /= float64(max(1, len(text)))
		q, err := answer.Of(p)
		if err != nil {
			return err
		}
		if !open {
			a.pred = answer.Extract(q, text, answer.Options{}).Answer
		}
		a.correct = answer.Grade(q, a.pred, mathverify.Options{}).Verdict == mathverify.Equal
		j.answers[rows[k]] = a
	}
	return nil
}

// writeScores writes predictions and, for each task, the scores of all systems.
func writeScores(test []schema.Problem, jobs []job, out evalOut) error {
	var trained, dev [][]answered
	var names []string
	for _, j := range jobs {
		switch j.kind {
		case kindTrained:
			trained, names = append(trained, j.answers), append(names, j.name)
		case kindDev:
			dev = append(dev, j.answers)
		}
		if j.kind == kindDev {
			continue
		}
		for i, p := range test {
			a := j.answers[i]
			if err := out.Predictions.Write(schema.Prediction{
				ID: p.ID, Task: p.Task, System: j.name, Kind: j.kind, Reasoning: a.thought, Response: a.text,
				Pred: a.pred, Gold: p.GoldAnswer, Correct: a.correct, LogProb: a.perByte,
			}); err != nil {
				return err
			}
		}
	}
	ids := make([]string, len(test))
	tasks := map[string][]int{}
	for i, p := range test {
		ids[i] = p.ID
		tasks[p.Task] = append(tasks[p.Task], i)
	}
	picks := ensemblePicks(ids, trained, dev)
	order := make([]string, 0, len(tasks))
	for t := range tasks {
		order = append(order, t)
	}
	sort.Strings(order)
	calibrated := "log-probability per byte, each half of the problems calibrated on the other"
	if dev != nil {
		calibrated = "log-probability per byte, calibrated on the dev problems"
	}
	for _, task := range order {
		rows := tasks[task]
		write := func(system, kind, note string, right func(i int) bool) error {
			n := 0
			for _, i := range rows {
				if right(i) {
					n++
				}
			}
			low, high := stats.Wilson(n, len(rows), stats.Z95)
			return out.Scores.Write(schema.Score{
				System: system, Kind: kind, Task: task, Count: len(rows), Correct: n,
				Accuracy: float64(n) / float64(len(rows)), Low: low, High: high, Note: note,
			})
		}
		var errs []error
		for _, j := range jobs {
			if j.kind != kindDev {
				errs = append(errs, write(j.name, j.kind, "", func(i int) bool { return j.answers[i].correct }))
			}
		}
		best, always, err := majority(test, rows)
		if err != nil {
			return err
		}
		errs = append(errs,
			write("ensemble", kindEnsemble, calibrated, func(i int) bool { return trained[picks[i]][i].correct }),
			write("majority", kindBaseline, "always "+best+", the most frequent gold answer of these problems", func(i int) bool { return always[i] }),
			write("oracle", kindBound, fmt.Sprintf("any of %d students is right; a bound, not a system", len(names)), func(i int) bool {
				return slices.ContainsFunc(trained, func(a []answered) bool { return a[i].correct })
			}))
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}
