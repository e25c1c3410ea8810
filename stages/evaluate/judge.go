package evaluate

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/llmstage"
)

type judgeConfig struct {
	llmstage.Options

	Instructions string  `json:"instructions" doc:"What the judge checks, in place of the built-in text; question, reasoning, answer and the form of the reply follow it."`
	MaxTokens    int     `json:"max_tokens" default:"512" min:"0" doc:"Most tokens of a verdict; 0 sends no limit. A reasoning model needs more."`
	Structured   bool    `json:"structured" default:"false" doc:"Make the reply follow a JSON Schema; not every server supports it."`
	Votes        int     `json:"votes" default:"1" min:"1" max:"99" doc:"Verdicts per path. The majority decides; a tie is unclear."`
	Temperature  float64 `json:"temperature" default:"0" min:"0" max:"5" doc:"Sampling temperature; above 0 it makes sense only with several votes."`
	Show         string  `json:"show" default:"response" choices:"response|both" doc:"What the judge reads of a path: the response, or both the response and, before it, what the teacher thought. Where the response is the bare answer, both gives the judge reasoning to judge."`
	Unclear      string  `json:"unclear" default:"drop" choices:"drop|keep" doc:"Where a path goes whose verdict cannot be read: drop sends it to the port invalid, keep to valid."`
}

// Validate checks what the field tags cannot say.
func (c judgeConfig) Validate() error { return c.Check(c.MaxTokens) }

type judgeIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems whose paths were verified; only correct paths are judged."`
}

type judgeOut struct {
	Valid   *stage.Writer[schema.Problem] `port:"valid" doc:"Rows with at least one path whose reasoning is sound, and of those rows only these paths."`
	Invalid *stage.Writer[schema.Problem] `port:"invalid" doc:"Rows with at least one correct path that is not, and only these paths; judge.reason or error says why."`
}

// Judge asks a language model whether correct answers are well reasoned.
var Judge = stage.Define(stage.Spec{
	Type: "judge", Version: 2, Class: stage.Sampled, RowByRow: "rows",
	Doc: `Asks a language model whether the reasoning of each correct path is sound and supports its answer.

The judge sees the question, the path's response and the answer found in it, and
replies with a verdict and a one-sentence reason, which the path keeps as judge.
What the teacher thought, in the path's reasoning or inline in its response, is
shown with show: both only; what the judge itself thinks is never read.
Verdicts are read tolerantly: JSON alone, in a code fence or among other text, or
the bare word. What cannot be read is unclear; the field unclear says where
such a path goes. With several votes the statistic agreement is the share of votes
that stood on the winning side. Paths that are not correct are left out of both
outputs; a row without paths left is in neither. Requests, retries, memo, budget and
batches work as in batch-llm.`,
}, judge)

func judge(ctx context.Context, env *stage.Env, c judgeConfig, in judgeIn, out judgeOut) error {
	j := &judging{cfg: c}
	n, err := llmstage.Run(ctx, env, c.Options, in.Rows, func(row schema.Problem) llmstage.Work {
		w, ballots := j.work(row)
		w.Done = func() error {
			env.Fault("judge-row")
			return j.write(row, ballots, out)
		}
		return w
	})
	env.AddStat("unclear", float64(j.unclear))
	env.AddMean("agreement", float64(j.agreed), float64(j.cast))
	if err != nil {
		return err
	}
	if n > 0 {
		env.Warn("%d requests failed; their paths went to the port invalid with an error", n)
	}
	if j.unclear > 0 {
		env.Warn("%d verdicts were unclear (unclear: %s)", j.unclear, c.Unclear)
	}
	return nil
}

// Estimate implements [stage.Estimator].
func (c judgeConfig) Estimate(ctx context.Context, q stage.Question) (stage.Estimate, error) {
	j := &judging{cfg: c}
	e, judged, err := llmstage.Estimate(ctx, q, c.Options, "rows", func(row schema.Problem) llmstage.Work {
		w, _ := j.work(row)
		return w
	})
	if judged == nil {
		judged = q.Rows("rows")
	}
	// A row without a correct path is in neither output.
	e.Rows = map[string]*stage.Range{"valid": judged.Times(0, 1), "invalid": judged.Times(0, 1)}
	return e, err
}

type judging struct {
	cfg judgeConfig

	// Touched only by write, which is called row after row.
	unclear int
	agreed  int // votes on the winning side, of paths with several votes
	cast    int // votes on these paths
}

// ballot collects the votes on one path.
type ballot struct {
	path  schema.Path
	votes []verdict
	errs  []error
}

// work asks for all votes on the correct paths of a row.
func (j *judging) work(row schema.Problem) (w llmstage.Work, ballots []*ballot) {
	for _, p := range row.Paths {
		if !p.IsCorrect() {
			continue
		}
		b := &ballot{path: p, votes: make([]verdict, j.cfg.Votes), errs: make([]error, j.cfg.Votes)}
		ballots = append(ballots, b)
		shown := shown(p, j.cfg.Show == "both")
		prompt := judgePrompt(j.cfg.Instructions, row, p, shown)
		for k := range j.cfg.Votes {
			req := j.request(prompt, k)
			req.Hint = &llm.Hint{Kind: llm.HintJudge, Task: row.Task, Style: p.Style, Question: row.Question,
				Gold: row.GoldAnswer, Response: shown}
			w.Calls = append(w.Calls, llmstage.Call{Request: req, Answer: func(r *llm.Response, err error) {
				if b.errs[k] = err; err == nil {
					b.votes[k] = parseVerdict(r.Text)
				}
			}})
		}
	}
	return w, ballots
}

// write counts the votes and sends the paths to their outputs.
func (j *judging) write(row schema.Problem, ballots []*ballot, out judgeOut) error {
	valid, invalid := row, row
	valid.Paths, invalid.Paths = nil, nil
	for _, b := range ballots {
		if p, sound := j.count(b); sound {
			valid.Paths = append(valid.Paths, p)
		} else {
			invalid.Paths = append(invalid.Paths, p)
		}
	}
	if len(valid.Paths) > 0 {
		if err := out.Valid.Write(valid); err != nil {
			return err
		}
	}
	if len(invalid.Paths) > 0 {
		return out.Invalid.Write(invalid)
	}
	return nil
}

// request is what vote k asks.
func (j *judging) request(prompt string, k int) llm.Request {
	req := llm.Request{
		Temperature: &j.cfg.Temperature, MaxTokens: j.cfg.MaxTokens, Seed: j.cfg.Seed, Replicate: k,
		Messages: []llm.Message{{Role: llm.RoleUser, Content: prompt}},
	}
	if j.cfg.Structured {
		req.JSON = verdictSchema
	}
	return req
}

// verdictSchema is what structured: true holds the reply to.
var verdictSchema = &llm.Schema{Name: "verdict", Strict: true, Schema: json.RawMessage(
	`{"type":"object","properties":{"reason":{"type":"string"},"verdict":{"type":"string","enum":["valid","invalid"]}},"required":["reason","verdict"],"additionalProperties":false}`)}

// count turns the votes into the path's judgement. The reason is that of the first vote
// on the winning side.
func (j *judging) count(b *ballot) (p schema.Path, sound bool) {
	p = b.path
	valid, invalid := 0, 0
	var yes, no string
	for k, v := range b.votes {
		if b.errs[k] != nil {
			p.Error = "judge: " + llm.RowError(b.errs[k])
			return p, false
		}
		switch v.side {
		case sideValid:
			if valid++; valid == 1 {
				yes = v.reason
			}
		case sideInvalid:
			if invalid++; invalid == 1 {
				no = v.reason
			}
		}
	}
	if len(b.votes) > 1 {
		j.agreed += max(valid, invalid)
		j.cast += len(b.votes)
	}
	switch {
	case valid > invalid:
		p.Judge = &schema.Judge{Valid: true, Reason: yes}
	case invalid > valid:
		p.Judge = &schema.Judge{Valid: false, Reason: no}
	default:
		j.unclear++
		why := "the verdict was unclear"
		if len(b.votes) > 1 {
			why = fmt.Sprintf("the votes were unclear: %d valid, %d invalid of %d", valid, invalid, len(b.votes))
		}
		p.Judge = &schema.Judge{Valid: j.cfg.Unclear == "keep", Reason: why}
	}
	return p, p.Judge.Valid
}
