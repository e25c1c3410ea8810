package evaluate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/schema"
)

type judgeConfig struct {
	providers.Options
	providers.FailureOptions
	APIKeyFile stage.Path `json:"api_key_file" semantic:"false" doc:"File with the API key; goes before the environment."`
	PriceFile  stage.Path `json:"price_file" semantic:"false" doc:"YAML table of prices that goes before the built-in one."`

	Instructions string  `json:"instructions" doc:"What the judge is asked to check, in place of the built-in text; question, reasoning, answer and the form of the reply follow it."`
	MaxTokens    int     `json:"max_tokens" default:"512" min:"0" doc:"Most tokens of a verdict; 0 sends no limit. A reasoning model needs more."`
	Structured   bool    `json:"structured" default:"false" doc:"Ask the server to hold the reply to a JSON Schema; not every server can."`
	Votes        int     `json:"votes" default:"1" min:"1" max:"99" doc:"Verdicts per path. More valid than invalid ones make it valid; a tie is unclear."`
	Temperature  float64 `json:"temperature" default:"0" min:"0" max:"5" doc:"Sampling temperature; above 0 only with several votes does it make sense."`
	Unclear      string  `json:"unclear" default:"drop" choices:"drop|keep" doc:"A path whose verdict cannot be read: drop sends it to the port invalid, keep to valid."`
}

// Validate checks what the field tags cannot say.
func (c judgeConfig) Validate() error {
	return errors.Join(c.Options.Validate(c.MaxTokens, string(c.PriceFile)), c.FailureOptions.Validate())
}

type judgeIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems whose paths were verified; only correct paths are judged."`
}

type judgeOut struct {
	Valid   *stage.Writer[schema.Problem] `port:"valid" doc:"Rows with at least one path whose reasoning is sound, and of those rows only these paths."`
	Invalid *stage.Writer[schema.Problem] `port:"invalid" doc:"Rows with at least one correct path that is not, and only these paths; judge.reason or error says why."`
}

// Judge asks a language model whether correct answers are well reasoned.
var Judge = stage.Define(stage.Spec{
	Type: "judge", Version: 1, Class: stage.Sampled,
	Doc: `Asks a language model whether the reasoning of each correct path is sound and supports its answer.

The judge sees the question, the path's response and the answer found in it, and
replies with a verdict and a one-sentence reason, which the path keeps as judge.
Verdicts are read tolerantly: JSON alone, in a code fence or among other text, or
the bare word. What cannot be read is unclear, and the field unclear says where
such a path goes. With several votes the statistic agreement is the share of votes
that stood on the winning side. Paths that are not correct are left out of both
outputs; a row without paths left is in neither. Requests, retries, memo, budget and
batches work as in batch-llm.`,
}, judge)

func judge(ctx context.Context, env *stage.Env, c judgeConfig, in judgeIn, out judgeOut) (err error) {
	caller, err := c.Open(string(c.APIKeyFile), string(c.PriceFile), env.WorkDir, providers.Services{
		Getenv: env.Getenv, Memo: env.Memo, Scope: env.Key, Notify: func(s string) { env.Warn("%s", s) },
		Limiters: providers.Limiters(env.Shared().Value), Models: providers.Models(env.Shared().Value), Fault: env.Fault,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, caller.Close()) }()
	total, err := in.Rows.Count()
	if err != nil {
		return err
	}
	j := &judging{cfg: c, caller: caller, failures: c.Failures()}
	var done atomic.Int64
	stop := caller.Watch(providers.ReportEvery, func() (int64, int64) { return done.Load(), total }, func(v providers.View) {
		env.Progress(stage.Progress{Done: done.Load(), Total: total, Unit: "rows", Values: v.Values, Message: v.Message})
	})
	err = caller.Fetch(ctx, j.requests(in.Rows))
	if err == nil {
		err = j.judgeAll(ctx, in.Rows, func(valid, invalid schema.Problem) error {
			env.Fault("judge-row")
			if len(valid.Paths) > 0 {
				if err := out.Valid.Write(valid); err != nil {
					return err
				}
			}
			if len(invalid.Paths) > 0 {
				if err := out.Invalid.Write(invalid); err != nil {
					return err
				}
			}
			done.Add(1)
			return nil
		})
	}
	err = errors.Join(err, stop())
	for name, v := range caller.Figures() { // also when the stage failed
		env.AddStat(name, v)
	}
	env.AddStat("unclear", float64(j.unclear))
	if j.cast > 0 {
		env.AddStat("agreement", float64(j.agreed)/float64(j.cast))
	}
	if err == nil {
		err = j.failures.End()
	}
	if err != nil {
		return err
	}
	if why := cmp.Or(j.failures.Missing(), caller.Missing()); why != "" {
		env.Incomplete(why)
	}
	if n := j.failures.Total(); n > 0 {
		env.Warn("%d of the requests failed; their paths went to the port invalid with an error", n)
	}
	if j.unclear > 0 {
		env.Warn("%d verdicts were unclear (unclear: %s)", j.unclear, c.Unclear)
	}
	return nil
}

type judging struct {
	cfg      judgeConfig
	caller   *providers.Caller
	failures *llm.Failures

	// Touched only by Done functions, which run one after the other.
	unclear int
	agreed  int // votes on the winning side, of paths with several votes
	cast    int // votes on these paths
}

func (j *judging) judgeAll(ctx context.Context, rows stage.Rows[schema.Problem], write func(valid, invalid schema.Problem) error) error {
	n := j.caller.Concurrency()
	return llm.InOrder(ctx, n, max(64, 4*n), j.batches(rows, write))
}

// requests lists what will be asked about the rows.
func (j *judging) requests(rows stage.Rows[schema.Problem]) iter.Seq2[llm.Request, error] {
	return func(yield func(llm.Request, error) bool) {
		for row, err := range rows.All() {
			if err != nil {
				yield(llm.Request{}, err)
				return
			}
			for _, p := range row.Paths {
				if !p.IsCorrect() {
					continue
				}
				prompt := judgePrompt(j.cfg.Instructions, row, p)
				for k := range j.cfg.Votes {
					if !yield(j.request(prompt, k), nil) {
						return
					}
				}
			}
		}
	}
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

func (j *judging) batches(rows stage.Rows[schema.Problem], write func(valid, invalid schema.Problem) error) iter.Seq2[llm.Batch, error] {
	return func(yield func(llm.Batch, error) bool) {
		for row, err := range rows.All() {
			if err != nil {
				yield(llm.Batch{}, err)
				return
			}
			if !yield(j.row(row, write), nil) {
				return
			}
		}
	}
}

// ballot collects the votes on one path. Its tasks write to different elements.
type ballot struct {
	path  schema.Path
	votes []verdict
	errs  []error
}

func (j *judging) row(row schema.Problem, write func(valid, invalid schema.Problem) error) llm.Batch {
	var tasks []func(context.Context) error
	var ballots []*ballot
	for _, p := range row.Paths {
		if !p.IsCorrect() {
			continue
		}
		b := &ballot{path: p, votes: make([]verdict, j.cfg.Votes), errs: make([]error, j.cfg.Votes)}
		ballots = append(ballots, b)
		prompt := judgePrompt(j.cfg.Instructions, row, p)
		for k := range j.cfg.Votes {
			tasks = append(tasks, func(ctx context.Context) error { return j.vote(ctx, row, b, prompt, k) })
		}
	}
	return llm.Batch{Tasks: tasks, Done: func() error {
		valid, invalid := row, row
		valid.Paths, invalid.Paths = nil, nil
		for _, b := range ballots {
			if p, sound := j.count(b); sound {
				valid.Paths = append(valid.Paths, p)
			} else {
				invalid.Paths = append(invalid.Paths, p)
			}
		}
		return write(valid, invalid)
	}}
}

// verdictSchema is what structured: true holds the reply to.
var verdictSchema = &llm.Schema{Name: "verdict", Strict: true, Schema: json.RawMessage(
	`{"type":"object","properties":{"reason":{"type":"string"},"verdict":{"type":"string","enum":["valid","invalid"]}},"required":["reason","verdict"],"additionalProperties":false}`)}

// vote asks once. It returns an error only if the stage should end.
func (j *judging) vote(ctx context.Context, row schema.Problem, b *ballot, prompt string, k int) error {
	req := j.request(prompt, k)
	req.Hint = &llm.Hint{Kind: llm.HintJudge, Task: row.Task, Style: b.path.Style, Question: row.Question,
		Gold: row.GoldAnswer, Response: b.path.Response}
	resp, err := j.caller.Complete(ctx, req)
	if stop := j.failures.Note(ctx, err); stop != nil {
		return fmt.Errorf("asking %s: %w", j.caller.Name(), stop)
	}
	if err != nil {
		b.errs[k] = err
		return nil
	}
	b.votes[k] = parseVerdict(resp.Text)
	return nil
}

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
