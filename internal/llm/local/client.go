package local

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/generate"
)

// unlimited is how many tokens an answer without a limit may get.
const unlimited = 2048

// Client asks one model. It is safe for concurrent use.
type Client struct {
	models *Models
	key    modelKey
	ref    Ref
}

// NewClient makes the client of a model, which is loaded when it is first asked. identity
// is its [Models.Identity]; device one that device.Open knows.
func NewClient(models *Models, r Ref, identity, device string) *Client {
	return &Client{models: models, key: modelKey{identity, device}, ref: r}
}

// Complete implements [llm.Client]. A request without a temperature is answered greedily.
// What it samples is decided by its seed, replicate and messages. Of further fields it
// knows top_k and logprobs; it cannot follow a JSON Schema. A context that ends
// ends the wait, and the computation when no other request shares it.
func (c *Client) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	x, logprobs, err := newQuestion(req)
	if err != nil {
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	}
	m, err := c.models.get(ctx, c.key, c.ref)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &llm.Error{Kind: llm.KindNotFound, Err: err} // so would be every other request
	}
	var messages []chat.Message
	for _, msg := range req.Messages {
		messages = append(messages, chat.Message{Role: msg.Role, Content: msg.Content})
	}
	if x.ids, err = m.Prompt(messages); err != nil {
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	}
	room := m.Config.MaxSeq - len(x.ids)
	if room < 1 {
		return nil, &llm.Error{Kind: llm.KindInvalid, Message: fmt.Sprintf("the prompt has %d tokens: model %s has %d positions", len(x.ids), c.ref.Model, m.Config.MaxSeq)}
	}
	x.maxNew = min(x.maxNew, room)
	o, err := m.queue.do(ctx, x)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		kind := llm.KindOther // not what KindOf sees in it: another try changes nothing
		if llm.KindOf(err) == llm.KindInternal {
			kind = llm.KindInternal
		}
		return nil, &llm.Error{Kind: kind, Err: fmt.Errorf("model %s: %w", c.ref.Model, err)}
	}
	r := &llm.Response{Text: m.Text(o.IDs), FinishReason: llm.FinishLength, Model: c.ref.Model,
		Usage: llm.Usage{PromptTokens: len(x.ids), CompletionTokens: len(o.LogProbs)}}
	if m.Resolved != "" {
		r.Model = m.Resolved
	}
	if o.Ended || o.Stopped != "" {
		r.FinishReason = llm.FinishStop
	}
	if o.Stopped != "" {
		r.Text, _, _ = strings.Cut(r.Text, o.Stopped)
	}
	switch cut, err := m.CutOff(r.Text); {
	case err != nil:
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	case cut:
		r.Reasoning, r.Text, r.FinishReason = r.Text, "", llm.FinishLength
	}
	if logprobs {
		r.Logprobs, err = logprobsJSON(m.Model, o)
	}
	return r, err
}

// newQuestion reads how a request wants its answer.
func newQuestion(req llm.Request) (x *question, logprobs bool, err error) {
	if req.JSON != nil {
		return nil, false, fmt.Errorf("a local model cannot follow a JSON Schema: remove json_schema or structured")
	}
	x = &question{sampling: sampling{maxNew: req.MaxTokens}}
	if x.maxNew <= 0 {
		x.maxNew = unlimited
	}
	if req.Temperature != nil {
		x.temperature = *req.Temperature
	}
	if req.TopP != nil {
		x.topP = *req.TopP
	}
	for name, v := range req.Extra {
		ok := false
		switch name {
		case "top_k":
			x.topK, ok = whole(v)
		case "logprobs":
			logprobs, ok = v.(bool)
		}
		if !ok {
			return nil, false, fmt.Errorf("extra field %s: %v: a local model knows top_k (a number) and logprobs (true or false)", name, v)
		}
	}
	if x.temperature <= 0 {
		x.temperature, x.topP, x.topK = 0, 0, 0 // nothing is drawn
	}
	for _, s := range req.Stop {
		if s != "" {
			x.stops = append(x.stops, s)
		}
	}
	b, err := json.Marshal(x.stops)
	if err != nil {
		return nil, false, err
	}
	x.stop, x.seed = string(b), seedOf(req)
	return x, logprobs, nil
}

// whole reads a count from a decoded config or JSON.
func whole(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, n >= 0
	case int64:
		return int(n), n >= 0
	case float64:
		return int(n), n >= 0 && n == math.Trunc(n) && n < 1<<31
	}
	return 0, false
}

// seedOf decides what a request draws: all that tells it from others, and nothing of the
// batch it comes in.
func seedOf(req llm.Request) uint64 {
	h := fnv.New64a()
	put := func(n uint64) { _, _ = h.Write(binary.LittleEndian.AppendUint64(nil, n)) }
	if req.Seed != nil {
		put(uint64(*req.Seed))
	}
	put(uint64(req.Replicate))
	put(uint64(req.Try))
	for _, m := range req.Messages {
		put(uint64(len(m.Role)))
		_, _ = h.Write([]byte(m.Role))
		put(uint64(len(m.Content)))
		_, _ = h.Write([]byte(m.Content))
	}
	return h.Sum64()
}

// answer fills in the answers of questions that sample alike, and of those that join them.
func answer(ctx context.Context, m *causal.Model, questions []*question, b *batch) {
	first := questions[0]
	o := generate.Options{
		MaxNew: first.maxNew, Batch: maxRows, Stop: first.stops,
		Temperature: first.temperature, TopP: first.topP, TopK: first.topK,
	}
	prompts := make([][]int32, len(questions))
	o.Seeds = make([]uint64, len(questions))
	for i, x := range questions {
		prompts[i], o.Seeds[i] = x.ids, x.seed
	}
	all, ended := slices.Clone(questions), make([]bool, len(questions))
	o.More = func(room int) []generate.Prompt {
		var out []generate.Prompt
		for _, x := range b.more(room) {
			all, ended = append(all, x), append(ended, false)
			out = append(out, generate.Prompt{IDs: x.ids, Seed: x.seed})
		}
		return out
	}
	o.Each = func(row int, out generate.Output) {
		all[row].out, ended[row] = out, true
		b.done(all[row])
	}
	_, err := m.Generate(ctx, prompts, o)
	for i, x := range all {
		if !ended[i] {
			x.err = err
		}
	}
}

// tokenLogprob is one token as OpenAI's chat completions give it.
type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
}

// logprobsJSON gives the natural log-probabilities of the tokens of an answer, the end
// token left out, in the form of OpenAI's chat completions.
func logprobsJSON(m *causal.Model, o generate.Output) (json.RawMessage, error) {
	content := make([]tokenLogprob, len(o.IDs))
	for i, id := range o.IDs {
		content[i] = tokenLogprob{m.Tokenizer.Decode([]int32{id}), o.LogProbs[i]}
	}
	return json.Marshal(map[string]any{"content": content})
}
