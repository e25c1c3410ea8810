package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/internal/llm/simulated"
	"github.com/distillflow/distillflow/schema"
)

type judgeConfig struct {
	Model        string  `json:"model" default:"simulated" doc:"Who judges: provider/name, for example openai/gpt-4o-mini, or simulated, which needs no key and no network."`
	BaseURL      string  `json:"base_url" doc:"Address of an OpenAI-compatible server, up to and with /v1. Empty: the provider's own."`
	Endpoint     string  `json:"endpoint" doc:"A name for the server in the memo of paid answers. Empty: the base URL."`
	Instructions string  `json:"instructions" doc:"What the judge is asked to check, in place of the built-in text; question, reasoning, answer and the form of the reply follow it."`
	MaxTokens    int     `json:"max_tokens" default:"512" min:"0" doc:"Most tokens of a verdict; 0 sends no limit. A reasoning model needs more."`
	TokensField  string  `json:"tokens_field" choices:"|max_tokens|max_completion_tokens" doc:"Name of that limit in requests. Empty: chosen by model and server."`
	Structured   bool    `json:"structured" default:"false" doc:"Ask the server to hold the reply to a JSON Schema; not every server can."`
	Seed         *int64  `json:"seed" doc:"Seed sent to providers that know one."`
	Votes        int     `json:"votes" default:"1" min:"1" max:"99" doc:"Verdicts per path. More valid than invalid ones make it valid; a tie is unclear."`
	Temperature  float64 `json:"temperature" default:"0" min:"0" max:"5" doc:"Sampling temperature; above 0 only with several votes does it make sense."`
	Unclear      string  `json:"unclear" default:"drop" choices:"drop|keep" doc:"A path whose verdict cannot be read: drop sends it to the port invalid, keep to valid."`
	OnError      string  `json:"on_error" default:"keep" choices:"keep|fail" doc:"A request that failed after its retries: keep sends the path to the port invalid with the error and goes on, fail ends the stage."`

	APIKeyEnv   string     `json:"api_key_env" semantic:"false" doc:"Environment variable with the API key. Empty: OPENAI_API_KEY."`
	APIKeyFile  stage.Path `json:"api_key_file" semantic:"false" doc:"File with the API key; goes before the environment."`
	Concurrency int        `json:"concurrency" default:"8" min:"1" max:"4096" semantic:"false" doc:"Most requests at the same time."`
	RPM         float64    `json:"rpm" default:"0" min:"0" semantic:"false" doc:"Most requests a minute; 0: no limit."`
	Timeout     float64    `json:"timeout" default:"120" min:"0" semantic:"false" doc:"Seconds to wait for one attempt; 0: no limit."`
	MaxRetries  int        `json:"max_retries" default:"6" min:"0" max:"100" semantic:"false" doc:"Further attempts after failures that may pass."`

	BudgetRequests int      `json:"budget_requests" default:"0" min:"0" semantic:"false" doc:"Most requests this run may send; 0: no limit."`
	BudgetTokens   int      `json:"budget_tokens" default:"0" min:"0" semantic:"false" doc:"Most tokens this run may buy; 0: no limit."`
	BudgetUSD      float64  `json:"budget_usd" default:"0" min:"0" semantic:"false" doc:"Most dollars this run may spend; 0: no limit. Needs the two prices."`
	PriceInput     *float64 `json:"price_input" min:"0" semantic:"false" doc:"Dollars per million prompt tokens."`
	PriceOutput    *float64 `json:"price_output" min:"0" semantic:"false" doc:"Dollars per million answer tokens."`

	Simulated simulated.Options `json:"simulated" doc:"How strict the simulated judge is; other models ignore it."`
}

// Validate checks what the field tags cannot say.
func (c judgeConfig) Validate() error {
	var errs []error
	if err := providers.Check(c.Model); err != nil {
		errs = append(errs, stage.Invalid("model", "%v", err))
	}
	paid := !strings.HasPrefix(c.Model, llm.Simulated)
	if (c.PriceInput == nil) != (c.PriceOutput == nil) {
		errs = append(errs, stage.Invalid("price_input", "set both prices, price_input and price_output, or neither"))
	}
	if paid && c.BudgetUSD > 0 && c.PriceInput == nil {
		errs = append(errs, stage.Invalid("budget_usd", "the price of %s is not known: set price_input and price_output", c.Model))
	}
	if paid && c.MaxTokens == 0 && (c.BudgetUSD > 0 || c.BudgetTokens > 0) {
		errs = append(errs, stage.Invalid("max_tokens", "a budget needs a limit on the verdict's tokens"))
	}
	if _, err := simulated.New(c.Simulated); err != nil {
		errs = append(errs, stage.Invalid("simulated", "%v", err))
	}
	return errors.Join(errs...)
}

func (c judgeConfig) settings() providers.Settings {
	s := providers.Settings{
		Model: c.Model, BaseURL: c.BaseURL, Endpoint: c.Endpoint,
		KeyEnv: c.APIKeyEnv, KeyFile: string(c.APIKeyFile), TokensField: c.TokensField,
		Concurrency: c.Concurrency, RPM: c.RPM, MaxRetries: c.MaxRetries,
		Timeout:   time.Duration(c.Timeout * float64(time.Second)),
		Simulated: c.Simulated,
	}
	if strings.HasPrefix(c.Model, llm.Simulated) {
		return s // it costs nothing, so no budget can stop it
	}
	s.Limits = llm.Limits{Requests: c.BudgetRequests, Tokens: c.BudgetTokens, USD: c.BudgetUSD}
	if c.PriceInput != nil && c.PriceOutput != nil {
		s.Price = &llm.Price{Input: *c.PriceInput, Output: *c.PriceOutput}
	}
	return s
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
such a path goes. Paths that are not correct are left out of both outputs; a row
without paths left is in neither. Requests, retries, memo and budget work as in
batch-llm.`,
}, judge)

func judge(ctx context.Context, env *stage.Env, c judgeConfig, in judgeIn, out judgeOut) error {
	caller, err := providers.New(c.settings(), env.Getenv, env.Memo)
	if err != nil {
		return err
	}
	total, err := in.Rows.Count()
	if err != nil {
		return err
	}
	j := &judging{cfg: c, caller: caller, failures: llm.NewFailures(c.OnError == "keep")}
	defer func() {
		for name, v := range caller.Stats().Figures() {
			env.AddStat(name, v)
		}
		env.AddStat("unclear", float64(j.unclear))
	}()
	var done int64
	var last time.Time
	report := func() {
		s := caller.Stats()
		env.Progress(stage.Progress{Done: done, Total: total, Unit: "rows",
			Values: map[string]float64{"calls": float64(s.Calls), "memo_hits": float64(s.MemoHits)}})
	}
	err = llm.InOrder(ctx, c.Concurrency, max(64, 4*c.Concurrency), j.batches(in.Rows, func(valid, invalid schema.Problem) error {
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
		done++
		if now := time.Now(); now.Sub(last) >= 100*time.Millisecond {
			last = now
			report()
		}
		return nil
	}))
	report()
	if err != nil {
		return err
	}
	if why := j.failures.Missing(); why != "" {
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
	unclear  int // touched only by Done functions, which run one after the other
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
	req := llm.Request{
		Model: j.caller.Model, Temperature: &j.cfg.Temperature, MaxTokens: j.cfg.MaxTokens, Seed: j.cfg.Seed, Replicate: k,
		Messages: []llm.Message{{Role: llm.RoleUser, Content: prompt}},
		Hint: &llm.Hint{Kind: llm.HintJudge, Task: row.Task, Style: b.path.Style, Question: row.Question,
			Gold: row.GoldAnswer, Response: b.path.Response},
	}
	if j.cfg.Structured {
		req.JSON = verdictSchema
	}
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
