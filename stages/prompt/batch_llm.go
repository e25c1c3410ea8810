package prompt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/schema"
)

type batchConfig struct {
	providers.Options
	APIKeyFile stage.Path `json:"api_key_file" semantic:"false" doc:"File with the API key; goes before the environment."`

	System      string   `json:"system" doc:"System prompt sent before each prompt."`
	Temperature *float64 `json:"temperature" min:"0" max:"5" doc:"Sampling temperature. Not given: the provider's default."`
	TopP        *float64 `json:"top_p" min:"0" max:"1" doc:"Nucleus sampling. Not given: the provider's default."`
	MaxTokens   int      `json:"max_tokens" default:"1024" min:"0" doc:"Most tokens of an answer; 0 sends no limit."`
	Stop        []string `json:"stop" doc:"Texts at which the answer ends."`
	Replicates  int      `json:"replicates" default:"1" min:"1" max:"1000" doc:"Answers per prompt. More of them later buys only the new ones."`
	Extra       any      `json:"extra" doc:"Map of further fields of the request body, for servers that know them."`

	OnError string `json:"on_error" default:"keep" choices:"keep|fail" doc:"A request that failed after its retries: keep writes the error beside the path and goes on, fail ends the stage. A wrong key or an empty budget always ends it."`
}

// Validate checks what the field tags cannot say.
func (c batchConfig) Validate() error {
	var extra error
	if _, ok := c.Extra.(map[string]any); c.Extra != nil && !ok {
		extra = stage.Invalid("extra", "must be a map of request fields")
	}
	return errors.Join(c.Options.Validate(c.MaxTokens), extra)
}

type batchIn struct {
	Prompts stage.Rows[schema.Problem] `port:"prompts" doc:"Problems whose paths hold prompts."`
}

type batchOut struct {
	Replies *stage.Writer[schema.Problem] `port:"replies" doc:"The same rows and paths with the answers; with replicates, each path once per answer."`
}

// BatchLLM asks a teacher.
var BatchLLM = stage.Define(stage.Spec{
	Type: "batch-llm", Version: 1, Class: stage.Sampled,
	Doc: `Sends each path's prompt to a language model and records the answer.

Every path with a prompt gets response, finish_reason and provider; an answer that
was cut off (length) or withheld (content_filter) is kept and marked so. Paths that
hold a response already stay as they are; those with an error are asked again.
With replicates: n each path becomes n paths. A reasoning model's separate thoughts
go to the path's field "reasoning". Order and bytes do not depend on concurrency.

Each answer is remembered by everything that can change it: provider, endpoint,
model, messages, sampling and replicate. A run that was killed, or another recipe
that asks the same, pays for nothing twice. Requests that failed are asked again by
the next run; until then the output counts as incomplete.

model: simulated is a deterministic teacher without a network. It alone sees the
row's gold answer, reasons in the shape of the path's style and is right as often
as simulated.accuracy says for that style.`,
}, batchLLM)

func batchLLM(ctx context.Context, env *stage.Env, c batchConfig, in batchIn, out batchOut) error {
	caller, err := providers.New(c.Settings(string(c.APIKeyFile)), env.Getenv, env.Memo)
	if err != nil {
		return err
	}
	b := &batch{cfg: c, caller: caller, failures: llm.NewFailures(c.OnError == "keep")}
	b.extra, _ = c.Extra.(map[string]any)
	total, err := in.Prompts.Count()
	if err != nil {
		return err
	}
	defer reportStats(env, caller)
	progress := newProgress(env, caller, total)
	window := max(64, 4*c.Concurrency)
	err = llm.InOrder(ctx, c.Concurrency, window, b.batches(in.Prompts, func(row schema.Problem) error {
		env.Fault("batch-llm-row")
		if err := out.Replies.Write(row); err != nil {
			return err
		}
		progress.row()
		return nil
	}))
	progress.flush()
	if err != nil {
		return err
	}
	if why := b.failures.Missing(); why != "" {
		env.Incomplete(why)
	}
	if n := b.failures.Total(); n > 0 {
		env.Warn("%d of the requests failed; their paths carry an error", n)
	}
	return nil
}

type batch struct {
	cfg      batchConfig
	extra    map[string]any
	caller   *providers.Caller
	failures *llm.Failures
}

// batches makes one llm.Batch of each row.
func (b *batch) batches(rows stage.Rows[schema.Problem], write func(schema.Problem) error) iter.Seq2[llm.Batch, error] {
	return func(yield func(llm.Batch, error) bool) {
		for row, err := range rows.All() {
			if err != nil {
				yield(llm.Batch{}, err)
				return
			}
			if !yield(b.row(row, write), nil) {
				return
			}
		}
	}
}

func (b *batch) row(row schema.Problem, write func(schema.Problem) error) llm.Batch {
	row.Paths = b.replicate(row.Paths)
	hint := hintOf(row)
	var tasks []func(context.Context) error
	for i := range row.Paths {
		if p := &row.Paths[i]; p.Prompt != "" && !p.Answered() {
			tasks = append(tasks, func(ctx context.Context) error { return b.ask(ctx, p, hint) })
		}
	}
	return llm.Batch{Tasks: tasks, Done: func() error { return write(row) }}
}

// replicate makes n paths of each path that will be asked. Its first replicate keeps the
// request it had with n = 1, so that a higher n reuses those answers.
func (b *batch) replicate(paths []schema.Path) []schema.Path {
	n := b.cfg.Replicates
	if n == 1 || len(paths) == 0 {
		return paths
	}
	out := make([]schema.Path, 0, len(paths)*n)
	for _, p := range paths {
		if p.Prompt == "" || p.Answered() {
			out = append(out, p)
			continue
		}
		for k := range n {
			q := p
			q.Replicate = p.Replicate*n + k
			q.Extra = append(schema.Fields(nil), p.Extra...)
			out = append(out, q)
		}
	}
	return out
}

// ask fills one path. It returns an error only if the stage should end.
func (b *batch) ask(ctx context.Context, p *schema.Path, hint llm.Hint) error {
	req := llm.Request{
		Model: b.caller.Model, Temperature: b.cfg.Temperature, TopP: b.cfg.TopP,
		MaxTokens: b.cfg.MaxTokens, Seed: b.cfg.Seed, Stop: b.cfg.Stop, Extra: b.extra,
		Replicate: p.Replicate,
	}
	if b.cfg.System != "" {
		req.Messages = append(req.Messages, llm.Message{Role: llm.RoleSystem, Content: b.cfg.System})
	}
	req.Messages = append(req.Messages, llm.Message{Role: llm.RoleUser, Content: p.Prompt})
	hint.Style = p.Style
	req.Hint = &hint

	resp, err := b.caller.Complete(ctx, req)
	if stop := b.failures.Note(ctx, err); stop != nil {
		return fmt.Errorf("asking %s: %w", b.caller.Name(), stop)
	}
	p.Provider = b.caller.Name()
	if err != nil {
		p.Error = llm.RowError(err)
		return nil
	}
	p.Error = ""
	p.Response, p.FinishReason = resp.Text, resp.FinishReason
	if resp.Reasoning != "" {
		p.Extra.Set("reasoning", schema.AppendString(nil, resp.Reasoning))
	}
	return nil
}

// hintOf collects what the simulated teacher may know. The transport gives it to no other
// provider.
func hintOf(row schema.Problem) llm.Hint {
	h := llm.Hint{Task: row.Task, Question: row.Question, Gold: row.GoldAnswer}
	for _, f := range []string{"solution", "rationale", "answer"} {
		// An answer field is a worked solution only where it ends in one's mark.
		if s := row.Extra.String(f); s != "" && (f != "answer" || strings.Contains(s, "####")) {
			h.Solution = s
			break
		}
	}
	for _, c := range row.Choices {
		h.Choices = append(h.Choices, llm.Choice{Label: c.Label, Text: c.Text})
	}
	return h
}

// progress tells the engine how far the stage is, at most ten times a second.
type progress struct {
	env    *stage.Env
	caller *providers.Caller
	total  int64
	done   int64
	last   time.Time
}

func newProgress(env *stage.Env, caller *providers.Caller, total int64) *progress {
	return &progress{env: env, caller: caller, total: total}
}

func (p *progress) row() {
	p.done++
	if now := time.Now(); now.Sub(p.last) >= 100*time.Millisecond {
		p.last = now
		p.flush()
	}
}

func (p *progress) flush() {
	s := p.caller.Stats()
	v := map[string]float64{"calls": float64(s.Calls), "memo_hits": float64(s.MemoHits)}
	for name, n := range map[string]float64{"retries": float64(s.Retries), "failed": float64(s.Failed), "usd": s.USD,
		"tokens": float64(s.PromptTokens + s.CompletionTokens)} {
		if n > 0 {
			v[name] = n
		}
	}
	p.env.Progress(stage.Progress{Done: p.done, Total: p.total, Unit: "rows", Values: v})
}

// reportStats puts the counters into the run's record, also when the stage failed.
func reportStats(env *stage.Env, caller *providers.Caller) {
	for name, v := range caller.Stats().Figures() {
		env.AddStat(name, v)
	}
}
