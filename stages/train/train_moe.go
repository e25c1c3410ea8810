package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/schema"
)

// Layout of the models folder: one model folder per student, the same students
// before training below untrained/, the router where one has learned, and a description.
const (
	untrainedDir = "untrained"
	modelsFile   = "models.json"
)

// modelsInfo describes a models folder.
type modelsInfo struct {
	Format        int      `json:"format"`
	Students      []string `json:"students"`
	StudentPrompt string   `json:"student_prompt"`
	MaxNew        int      `json:"max_new"`   // tokens of the longest completion, plus room
	TrainIDs      []string `json:"train_ids"` // problems trained on, sorted
}

const modelsFormat = 1

// The types of the stages that train.
const (
	moeType = "train-moe"
	sftType = "train-sft"
)

type trainIn struct {
	Paths stage.Rows[schema.Problem] `port:"paths" doc:"Problems with the reasoning paths to learn from. Paths that failed, were cut off or refused, verified wrong or judged invalid are left out."`
}

type moeIn struct {
	Paths  stage.Rows[schema.Problem]        `port:"paths" doc:"Problems with the reasoning paths to learn from. Paths that failed, were cut off or refused, verified wrong or judged invalid are left out; see quality."`
	Shares stage.Rows[schema.RouterDecision] `port:"shares,optional" doc:"With gate: matched: the router_log of the train-moe whose shares are drawn by, over all its epochs. Others do not read it."`

	Embeddings stage.Rows[schema.Embedding] `port:"embeddings,optional" doc:"With gate: learned: what an embed stage made of the same rows, for the router to read in place of an encoder's own pass. Others do not read it."`
}

type trainOut struct {
	Models    *stage.OutDir                        `port:"models" doc:"A folder per student: config.json, tokenizer.json and model.safetensors of one from scratch; adapters in PEFT's format and a reference to the base of a published one. The same students before training below untrained/. With gate: learned, the router as router.json and router.safetensors."`
	RouterLog *stage.Writer[schema.RouterDecision] `port:"router_log" doc:"One row for each path and epoch: which student it went to, with what probabilities, and what each student makes of it: nats per byte, weight in the ensemble. A path that all learn has a row for each student; without router and peers there are none."`
	Metrics   *stage.Writer[schema.Metric]         `port:"metrics" doc:"Losses, entropies and gradient norms every log_every steps."`
	Board     *stage.OutDir                        `port:"tensorboard" doc:"The metrics as event files for tensorboard --logdir: a run per student, time counted in steps."`
}

// TrainMoE trains several students on the same reasoning paths, with a router.
var TrainMoE = stage.Define(stage.Spec{
	Type:    moeType,
	Version: 5,
	Class:   stage.Seeded,
	Doc: `Trains two or more students on reasoning paths that a router shares out between them.
Students are published models with low-rank adapters, or small decoders trained from
scratch. A warm-up on plain cross-entropy teaches every student every path; then each path
goes to one student by a straight-through Gumbel gate, the router learns from all
students' losses per byte, and peer teaching pulls the students' hidden states toward a
weighted ensemble. method, router and peer change each of these parts or leave it out. A student from scratch that asks for adapters is trained whole in the
warm-up and frozen then. The same seed
gives the same bytes on the same numeric platform, which is part of the cache key. A run
that is interrupted goes on from its last checkpoint.`,
	Platform: platform,
}, runTrain)

// platform names the numeric platform of the default device.
func platform() string {
	d, err := device.Open(device.Auto)
	if err != nil {
		return "none"
	}
	return d.Platform()
}

// Wired implements [stage.Wired].
func (c trainConfig) Wired(sources func(string) int) error {
	s := c.settings()
	switch {
	case s.gate == gateMatched && sources("shares") == 0:
		return stage.Invalid("router.gate", "matched draws by the shares of another train-moe: give this one its decisions, as in from: {paths: ..., shares: OTHER.router_log}")
	case s.gate == gateLearned && c.Router.Encoder != "" && sources("embeddings") > 0:
		return stage.Invalid("router.encoder", "stands beside the input embeddings, which takes its place: leave one of them out")
	}
	return nil
}

// sharesOf are the students' shares of the decisions in a router's log.
func sharesOf(log stage.Rows[schema.RouterDecision], students []studentPlan) (map[string]float64, error) {
	shares, n := map[string]float64{}, 0.0
	for d, err := range log.All() {
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(students, func(s studentPlan) bool { return s.name == d.Student }) {
			return nil, fmt.Errorf("the input shares names student %q, which is none of this stage's", d.Student)
		}
		shares[d.Student]++
		n++
	}
	if n == 0 {
		return nil, errors.New("the input shares holds no decision: the other train-moe routed nothing")
	}
	for s := range shares {
		shares[s] /= n
	}
	return shares, nil
}

func runTrain(ctx context.Context, env *stage.Env, c trainConfig, in moeIn, out trainOut) error {
	p := c.plan()
	if p.route != nil && p.route.gate == gateMatched {
		shares, err := sharesOf(in.Shares, p.students)
		if err != nil {
			return err
		}
		p.route.shares, p.config = shares, []any{p.config, shares}
	}
	if in.Embeddings.Given() && p.route != nil && p.route.gate == gateLearned {
		var err error
		if p.route.embeddings, err = readEmbeddings(in.Embeddings); err != nil {
			return err
		}
	}
	t, err := trainModels(ctx, env, p, in.Paths, out.Models.Path)
	if err != nil {
		return err
	}
	if err := writeAll(out.RouterLog, t.routings); err != nil {
		return err
	}
	if err := writeTensorBoard(out.Board.Path, t.metrics); err != nil {
		return err
	}
	return writeAll(out.Metrics, t.metrics)
}

// Estimate implements [stage.Estimator]. How many paths the rows have is not known before
// they are read.
func (c trainConfig) Estimate(context.Context, stage.Question) (stage.Estimate, error) {
	if c.plan().route == nil || c.Epochs == 0 {
		return stage.Estimate{Rows: map[string]*stage.Range{"router_log": stage.Exactly(0)}}, nil
	}
	return stage.Estimate{}, nil
}
