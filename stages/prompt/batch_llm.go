package prompt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/llmstage"
)

type batchConfig struct {
	llmstage.Options

	System      string   `json:"system" doc:"System prompt sent before each prompt. Empty: the system text of the row's task, if it has one."`
	Temperature *float64 `json:"temperature" min:"0" max:"5" doc:"Sampling temperature. Default: the provider's."`
	TopP        *float64 `json:"top_p" min:"0" max:"1" doc:"Nucleus sampling. Default: the provider's."`
	MaxTokens   int      `json:"max_tokens" default:"1024" min:"0" doc:"Most tokens of an answer; 0 sends no limit."`
	Stop        []string `json:"stop" doc:"Texts at which the answer ends."`
	Replicates  int      `json:"replicates" default:"1" min:"1" max:"1000" doc:"Answers per prompt. Raising it later buys only the new ones."`
	Extra       any      `json:"extra" doc:"Map of further fields of the request body, for servers that know them."`
	JSONSchema  any      `json:"json_schema" doc:"JSON Schema that answers must follow; not every server supports it."`
}

// Validate checks what the field tags cannot say.
func (c batchConfig) Validate() error {
	errs := []error{c.Check(c.MaxTokens)}
	if _, ok := c.Extra.(map[string]any); c.Extra != nil && !ok {
		errs = append(errs, stage.Invalid("extra", "must be a map of request fields"))
	}
	if _, ok := c.JSONSchema.(map[string]any); c.JSONSchema != nil && !ok {
		errs = append(errs, stage.Invalid("json_schema", "must be a map, the JSON Schema"))
	}
	return errors.Join(errs...)
}

type batchIn struct {
	Prompts stage.Rows[schema.Problem] `port:"prompts" doc:"Problems whose paths hold prompts."`
}

type batchOut struct {
	Replies *stage.Writer[schema.Problem] `port:"replies" doc:"The same rows and paths with the answers; with replicates, each path once per answer."`
	Errors  *stage.Writer[schema.Problem] `port:"errors" doc:"Rows with at least one path that got no answer, and only these paths; error says why. These paths are not in replies."`
}

// BatchLLM asks a teacher.
var BatchLLM = stage.Define(stage.Spec{
	Type: "batch-llm", Version: 3, Class: stage.Sampled, RowByRow: "prompts",
	Doc: `Sends each path's prompt to a language model and records the answer.

Every path with a prompt gets response, finish_reason and provider; an answer that
was cut off (length) or withheld (content_filter) is kept and marked so, and one
without text has the field "empty": true. Paths that
hold a response already stay as they are; those with an error are asked again.
With replicates: n each path becomes n paths. Order and bytes do not depend on
concurrency.

A reasoning model's thoughts go to the path's field "reasoning": those that the
provider sends apart, then those that stand in the text between marks such as
<think> and </think>; thought_tags names further marks. The response is what
remains. An answer that breaks off inside a thought has finish_reason length.
Token probabilities go to "logprobs".

Each answer is remembered by everything that can change it: provider, endpoint,
model, messages, sampling and replicate. A run that was killed, or another recipe
that asks the same, pays for nothing twice; refresh: true buys again. The next run
repeats requests that failed; until then the output counts as incomplete.

A budget covers this result over all runs that work on it: each call reserves its
worst case before it is sent, and a call that a crash cut off counts in full. The
worst case counts all that is sent, with json_schema and extra.

mode: batch sends the prompts through the provider's batch API (OpenAI,
Gemini and Anthropic have one): slower, and usually for half the price. What a batch asks for is recorded
before it is submitted, so a run that was killed finds its batches again. The next
run asks for what a batch left out.

The limits rpm, tpm and concurrency belong to provider, model and server: stages
that run at the same time share them, and the lowest applies. With --isolate each
stage's process has its own limits. API keys are looked for before any stage runs.

model: simulated is a deterministic teacher without a network. It alone sees the
row's gold answer, reasons in the shape of the path's style and is right as often
as simulated.accuracy says for that style.`,
}, batchLLM)

func batchLLM(ctx context.Context, env *stage.Env, c batchConfig, in batchIn, out batchOut) error {
	b, err := newBatch(c)
	if err != nil {
		return err
	}
	n, err := llmstage.Run(ctx, env, c.Options, in.Prompts, func(row schema.Problem) llmstage.Work {
		w := b.work(&row)
		w.Done = func() error {
			env.Fault("batch-llm-row")
			return write(row, out)
		}
		return w
	})
	if err == nil && n > 0 {
		env.Warn("%d requests failed; their paths are in the port errors", n)
	}
	return err
}

// Estimate implements [stage.Estimator].
func (c batchConfig) Estimate(ctx context.Context, q stage.Question) (stage.Estimate, error) {
	b, err := newBatch(c)
	if err != nil {
		return stage.Estimate{}, err
	}
	e, _, err := llmstage.Estimate(ctx, q, c.Options, "prompts", func(row schema.Problem) llmstage.Work { return b.work(&row) })
	rows := q.Rows("prompts")
	e.Rows = map[string]*stage.Range{"replies": rows, "errors": rows.Times(0, 1)}
	return e, err
}

// batch is what all requests have in common.
type batch struct {
	cfg    batchConfig
	extra  map[string]any
	schema *llm.Schema
}

func newBatch(c batchConfig) (*batch, error) {
	b := &batch{cfg: c}
	b.extra, _ = c.Extra.(map[string]any)
	if c.JSONSchema == nil {
		return b, nil
	}
	js, err := json.Marshal(c.JSONSchema)
	if err != nil {
		return nil, fmt.Errorf("json_schema: %w", err)
	}
	b.schema = &llm.Schema{Name: "answer", Schema: js, Strict: true}
	return b, nil
}

// write sets the paths that got no answer apart from the others.
func write(row schema.Problem, out batchOut) error {
	var failed []schema.Path
	kept := row.Paths[:0:0]
	for _, p := range row.Paths {
		if p.Error != "" && p.Prompt != "" {
			failed = append(failed, p)
		} else {
			kept = append(kept, p)
		}
	}
	if len(failed) > 0 {
		bad := row
		bad.Paths = failed
		if err := out.Errors.Write(bad); err != nil {
			return err
		}
		row.Paths = kept
	}
	return out.Replies.Write(row)
}

// work asks for the paths of a row that have no response.
func (b *batch) work(row *schema.Problem) (w llmstage.Work) {
	row.Paths = b.replicate(row.Paths)
	hint := hintOf(*row)
	system := b.system(row)
	for i := range row.Paths {
		p := &row.Paths[i]
		if p.Prompt == "" || p.Answered() {
			continue
		}
		req := b.request(p, system)
		h := hint
		h.Style = p.Style
		req.Hint = &h
		w.Calls = append(w.Calls, llmstage.Call{Request: req, Answer: func(r *llm.Response, err error) { b.fill(p, r, err) }})
	}
	return w
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

// system is the system text of a row's requests: the stage's, or else the task's.
func (b *batch) system(row *schema.Problem) string {
	if b.cfg.System != "" || len(row.TaskSpec) == 0 {
		return b.cfg.System
	}
	t, _ := task.Of(row.Task, row.TaskSpec, len(row.Choices)) // wrap-cot reports a broken one
	return t.System
}

// request is what a path asks.
func (b *batch) request(p *schema.Path, system string) llm.Request {
	req := llm.Request{
		Temperature: b.cfg.Temperature, TopP: b.cfg.TopP, MaxTokens: b.cfg.MaxTokens, Seed: b.cfg.Seed,
		Stop: b.cfg.Stop, JSON: b.schema, Extra: b.extra, Replicate: p.Replicate,
	}
	if system != "" {
		req.Messages = append(req.Messages, llm.Message{Role: llm.RoleSystem, Content: system})
	}
	req.Messages = append(req.Messages, llm.Message{Role: llm.RoleUser, Content: p.Prompt})
	return req
}

// fill puts an answer, or why there is none, into its path.
func (b *batch) fill(p *schema.Path, resp *llm.Response, err error) {
	if err != nil {
		p.Provider, p.Error = b.cfg.Model, llm.RowError(err)
		return
	}
	p.Provider, p.Error = resp.Provider, ""
	p.Response, p.Reasoning, p.FinishReason = resp.Text, resp.Reasoning, resp.FinishReason
	if strings.TrimSpace(resp.Text) == "" {
		p.Extra.Set("empty", []byte("true"))
	}
	if len(resp.Logprobs) > 0 {
		p.Extra.Set("logprobs", resp.Logprobs)
	}
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
	others := row.GoldAnswers[min(1, len(row.GoldAnswers)):]
	for _, c := range row.Choices {
		if !slices.Contains(others, c.Label) && !slices.Contains(others, c.Text) {
			h.Choices = append(h.Choices, llm.Choice{Label: c.Label, Text: c.Text})
		}
	}
	if t, err := task.Of(row.Task, row.TaskSpec, len(row.Choices)); err == nil && len(row.TaskSpec) > 0 {
		hintKind(&h, row, t)
	}
	return h
}

// hintKind tells the wrong answers to a declared task, which the form of the gold answer
// does not tell as it does for presets.
func hintKind(h *llm.Hint, row schema.Problem, t task.Task) {
	golds := row.GoldAnswers
	if len(golds) == 0 {
		golds = []string{row.GoldAnswer}
	}
	switch kind := t.KindOf(len(row.Choices)); {
	case kind == task.Label:
		h.Wrong = slices.DeleteFunc(slices.Sorted(maps.Keys(t.Labels)), func(l string) bool { return slices.Contains(golds, l) })
	case kind == task.Text:
		h.Wrong = []string{"something else"}
	case kind == task.Choice && t.Several == "all" && len(row.Choices) > 0:
		h.Gold, h.Choices = strings.Join(golds, ", "), nil
		for _, c := range row.Choices {
			if c.Label != h.Gold {
				h.Wrong = append(h.Wrong, c.Label)
			}
		}
	}
}
