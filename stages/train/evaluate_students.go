package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/schema"
)

type evalConfig struct {
	MaxNew      int      `json:"max_new" default:"0" min:"0" doc:"Most new tokens per answer; 0 means as long as the longest completion in training, and a few more. Thoughts count. The student's positions end an answer, too."`
	Batch       int      `json:"batch" default:"64" min:"1" doc:"Rows per generation batch."`
	MaxRows     int      `json:"max_rows" default:"0" min:"0" doc:"Evaluate on at most this many problems, from the start; 0 means all."`
	Samples     int      `json:"samples" default:"1" min:"1" max:"1000" doc:"Answers per student and problem that votes and pass@k are counted from, besides the greedy one; 1 means none. More need a temperature."`
	Temperature float64  `json:"temperature" default:"0" min:"0" max:"5" doc:"At which samples are drawn."`
	TopP        float64  `json:"top_p" default:"1" min:"0" max:"1" doc:"Draw samples from the most probable tokens that reach this probability together."`
	By          []string `json:"by" default:"[\"level\"]" doc:"Fields of the problems, such as level and type of MATH, for whose values scores are given apart. Problems without a field are left out of its scores."`
	Untrained   bool     `json:"untrained" default:"true" doc:"Also evaluate the students as they were before training."`
	Device      string   `json:"device" default:"auto" semantic:"false" doc:"Where to run: auto, cpu, xla, cuda or cuda:N."`
}

// Validate checks what tags cannot.
func (c evalConfig) Validate() error {
	if c.Samples > 1 && c.Temperature == 0 {
		return stage.Invalid("samples", "%d answers at temperature 0 are all the same: set a temperature", c.Samples)
	}
	return nil
}

type evalIn struct {
	Models   stage.Dir                  `port:"models" doc:"The models folder of train-moe or train-sft."`
	Problems stage.Rows[schema.Problem] `port:"problems" doc:"Test problems with gold answers. An id that occurs in training is an error."`
	Dev      stage.Rows[schema.Problem] `port:"dev,optional" doc:"Problems to calibrate the ensemble on. Without them, each half of the test problems is calibrated on the other half."`
}

type evalOut struct {
	Scores      *stage.Writer[schema.Score]      `port:"scores" doc:"Accuracy with Wilson 95 % intervals, and how many problems got no answer: each student trained and untrained, the ensemble, the router's pick, the most frequent gold answer, and as a bound the share that any student answers. With samples, votes and pass@k too."`
	Comparisons *stage.Writer[schema.Comparison] `port:"comparisons" doc:"McNemar's exact test between pairs of systems on the same problems, not corrected for the number of pairs."`
	Predictions *stage.Writer[schema.Prediction] `port:"predictions" doc:"Each student's answer to each problem, and its samples."`
}

// EvaluateStudents measures students on held-out problems.
var EvaluateStudents = stage.Define(stage.Spec{
	Type:    "evaluate-students",
	Version: 5,
	Class:   stage.Pure,
	Doc: `Measures trained students on held-out problems.
Each student reads the plain question, with its choices, premise or table, and writes greedily until its end token; only new
text is read for the answer, without what the student thinks before it. A student that is
cut off while it thinks gives no answer: max_new has to leave room for thoughts, as its
default does for those of training. The ensemble takes the answer of the student that is more
probably right, by log-probability per byte calibrated on other problems. Routed takes the
answer of the one student that the learned router prefers for the question. That is out of
distribution: the router learned on teachers' paths, not on questions. The oracle row is
a bound, not a system: it counts a problem as solved when any student solves it. With one
student there are none of these, and without a learned router there is no routed row.

Students that were trained with student_prompt: styled are also asked in each style for
which problems have a path with a prompt, as wrap-cot makes them: their scores stand in
groups style=NAME. All other rows are of the plain question.

With samples: k, a student also draws k answers. vote@k takes the most frequent of them,
and pass@k is the bound that any of them is right. Routed draws all k from one student.
The ensemble's vote@k and the oracle's
pass@k are of as many answers, which the students share. Of n students there are vote@n
and pass@n too, for the ensemble and the oracle cost n answers. What is drawn depends on
the problem's id, the student and the sample alone, not on the run's seed.

comparisons sets trained students, the ensemble, routed and votes of equal cost against
each other, and a student against itself untrained, its own vote and the most frequent gold
answer.`,
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
	kindRouted    = "routed"
	kindBaseline  = "baseline"
	kindBound     = "bound"
	kindVote      = "vote@" // and the number of answers
	kindPass      = "pass@" // and the number of answers
)

func runEvaluate(ctx context.Context, env *stage.Env, c evalConfig, in evalIn, out evalOut) error {
	dev, err := openDevice(env, c.Device)
	if err != nil {
		return err
	}
	info, err := readModels(in.Models.Path)
	if err != nil {
		return err
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
		if c.Samples > 1 {
			jobs = append(jobs, job{name: name, kind: kindSample, dir: name, problems: test, samples: c.Samples})
		}
		if c.Untrained {
			jobs = append(jobs, job{name: name, kind: kindUntrained, dir: filepath.Join(untrainedDir, name), problems: test})
		}
	}
	if info.StudentPrompt == promptStyled {
		jobs = append(jobs, styledJobs(env, info.Students, test)...)
	}
	if err := e.run(ctx, jobs); err != nil {
		return err
	}
	picks, err := e.routed(ctx, len(info.Students), test)
	if err != nil {
		return fmt.Errorf("asking the router: %w", err)
	}
	return writeResults(test, jobs, picks, c.By, out)
}

// routed gives the student that the router prefers for each problem, nil without a router.
func (e *evaluation) routed(ctx context.Context, students int, test []schema.Problem) ([]int, error) {
	var questions []string
	for _, p := range test {
		q, err := plainQuestion(p)
		if err != nil {
			return nil, err
		}
		questions = append(questions, q)
	}
	picks, err := routedPicks(ctx, e.dev, e.models, students, questions, e.bases.hub)
	if errors.Is(err, errOtherEncoder) { // such as a Hub that has moved on since
		e.env.Warn("the table has no row of the routed pick: %v", err)
		return nil, nil
	}
	return picks, err
}

// styledJobs asks each student in each style for which problems have a prompt.
func styledJobs(env *stage.Env, students []string, test []schema.Problem) (jobs []job) {
	of := map[string][]schema.Problem{}
	for _, p := range test {
		for _, style := range promptStyles(p) {
			of[style] = append(of[style], p)
		}
	}
	if len(of) == 0 {
		env.Warn("the students were trained on the styles' prompts and are asked plain questions: put wrap-cot before this stage to ask them in the styles, too")
	}
	for _, name := range students {
		for _, style := range slices.Sorted(maps.Keys(of)) {
			jobs = append(jobs, job{name: name, kind: kindStyled, dir: name, style: style, problems: of[style]})
		}
	}
	return jobs
}

// promptStyles are the styles for which a problem has a prompt.
func promptStyles(p schema.Problem) (styles []string) {
	for _, x := range p.Paths {
		if x.Prompt != "" && !slices.Contains(styles, x.Style) {
			styles = append(styles, x.Style)
		}
	}
	return styles
}

// asks is the question of a job's problem.
func (j job) asks(p schema.Problem) (string, error) {
	for _, x := range p.Paths {
		if j.style != "" && x.Style == j.style && x.Prompt != "" {
			return x.Prompt, nil
		}
	}
	return plainQuestion(p)
}

// Kinds of answers that are no system's.
const (
	kindDev    = "dev"    // calibration reads them; they are not written
	kindSample = "sample" // votes and pass@k read them
	kindStyled = "styled" // trained, asked in a style
)

// job is one model on one set of problems.
type job struct {
	name, kind, dir string
	style           string // whose prompts are asked; "": the plain question
	problems        []schema.Problem
	samples         int        // drawn for each problem; 0: one greedy answer
	answers         []answered // [problem·each + sample]
}

// each is how many answers a problem gets.
func (j job) each() int { return max(1, j.samples) }

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
		total += len(j.problems) * j.each()
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
	each := j.each()
	j.answers = make([]answered, len(j.problems)*each)
	o := generate.Options{MaxNew: e.cfg.MaxNew, Batch: e.cfg.Batch}
	if j.samples > 0 {
		o.Temperature, o.TopP = e.cfg.Temperature, e.cfg.TopP
	}
	long := 0
	var prompts [][]int32
	var places []int // in answers
	for i, p := range j.problems {
		asked, err := j.asks(p)
		if err != nil {
			return err
		}
		ids, err := m.prompt(asked)
		if err != nil {
			return fmt.Errorf("problem %s: %w", p.ID, err)
		}
		if len(ids) >= m.maxSeq {
			long++
			progress(each)
			continue
		}
		for k := range each {
			prompts, places = append(prompts, ids), append(places, i*each+k)
			if j.samples > 0 {
				o.Seeds = append(o.Seeds, streamSeed(0, fmt.Sprintf("evaluate/%s/%d/%s", j.name, k, p.ID)))
			}
		}
	}
	if long > 0 && j.samples == 0 {
		e.env.Warn("student %s: %d of %d questions leave no room for an answer in its %d positions and count as unanswered", j.name, long, len(j.problems), m.maxSeq)
	}
	last := 0
	o.Progress = func(done, _ int) { progress(done - last); last = done }
	out, err := m.generate(ctx, prompts, o)
	if err != nil {
		return err
	}
	for k, o := range out {
		p := j.problems[places[k]/each]
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
		j.answers[places[k]] = a
	}
	return nil
}
