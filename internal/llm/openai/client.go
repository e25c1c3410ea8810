// Package openai is the llm.Client for every server that speaks OpenAI's chat completions:
// OpenAI itself, DeepInfra, Together, vLLM, Ollama, llama.cpp and others, told apart by
// their base URL. It makes one attempt per call; llm.Transport owns the rest.
package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

// DefaultBaseURL is where requests go when no base URL is given.
const DefaultBaseURL = "https://api.openai.com/v1"

// Names of the token-limit field of a request.
const (
	TokensAuto       = ""                      // by model name and base URL
	TokensMax        = "max_tokens"            // what compatible servers know
	TokensCompletion = "max_completion_tokens" // what OpenAI's reasoning models demand
)

// Config describes the server.
type Config struct {
	BaseURL     string       // "" means DefaultBaseURL
	Key         string       // "" sends no Authorization header, as local servers like it
	TokensField string       // one of the Tokens constants
	Stream      bool         // receive answers as server-sent events
	HTTP        *http.Client // nil: a client of its own with a connection pool for many calls
}

// Client implements llm.Client and llm.BatchClient.
type Client struct {
	h      *http.Client
	tokens string
	key    string
	base   string
	stream bool
}

// New returns a client. It fails on a base URL that is not one.
func New(cfg Config) (*Client, error) {
	base, err := llm.CheckServer(cfg.BaseURL, DefaultBaseURL, cfg.Key)
	if err != nil {
		return nil, err
	}
	switch cfg.TokensField {
	case TokensAuto, TokensMax, TokensCompletion:
	default:
		return nil, fmt.Errorf("tokens field %q: want %s or %s", cfg.TokensField, TokensMax, TokensCompletion)
	}
	return &Client{h: llm.HTTPClient(cfg.HTTP), tokens: cfg.TokensField, key: cfg.Key, base: base, stream: cfg.Stream}, nil
}

// Complete implements llm.Client.
func (c *Client) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	body, err := c.body(req, c.stream)
	if err != nil {
		return nil, err
	}
	a, err := c.call(ctx, http.MethodPost, "/chat/completions", "application/json", body)
	if err != nil {
		return nil, err
	}
	return c.parse(ctx, a)
}

// body is the request in JSON. Extra fields go before the request's own messages, schema
// and thinking, and behind its sampling.
func (c *Client) body(req llm.Request, stream bool) ([]byte, error) {
	b := map[string]any{"model": req.Model, "messages": req.Messages}
	if len(req.Stop) > 0 {
		b["stop"] = req.Stop
	}
	if req.JSON != nil {
		b["response_format"] = map[string]any{"type": "json_schema", "json_schema": req.JSON}
	}
	maps.Copy(b, c.thinking(req.Thinking))
	maps.Copy(b, req.Extra)
	if req.Temperature != nil {
		b["temperature"] = *req.Temperature
	}
	if req.TopP != nil {
		b["top_p"] = *req.TopP
	}
	if req.Seed != nil {
		b["seed"] = *req.Seed
	}
	if req.MaxTokens > 0 {
		b[c.tokensField(req.Model)] = req.MaxTokens
	}
	if stream {
		b["stream"], b["stream_options"] = true, map[string]any{"include_usage": true}
	}
	out, err := json.Marshal(b)
	if err != nil {
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	}
	return out, nil
}

// tokensField picks the name of the limit: OpenAI's reasoning models reject max_tokens,
// and many compatible servers ignore max_completion_tokens.
func (c *Client) tokensField(model string) string {
	if c.tokens != TokensAuto {
		return c.tokens
	}
	for _, p := range []string{"o1", "o3", "o4", "gpt-5", "gpt-6"} {
		if strings.HasPrefix(model, p) && strings.HasPrefix(c.base, "https://api.openai.com/") {
			return TokensCompletion
		}
	}
	return TokensMax
}

// parse reads the answer of a call. Servers differ in the names of reasoning text and in
// the types of fields that do not matter here. Some send an error with status 200, beside
// the answer or in place of it.
func (c *Client) parse(ctx context.Context, a *llm.RawAnswer) (*llm.Response, error) {
	body, ok := llm.ValidJSON(a.Body)
	if !ok {
		return nil, c.fail(ctx, errors.New("the answer is not JSON"), a)
	}
	root := gjson.ParseBytes(body)
	choice := root.Get("choices.0")
	msg := choice.Get("message")
	u := usage(root.Get("usage"))
	for _, at := range []gjson.Result{choice, root} {
		if llm.HasError(at) || !msg.IsObject() {
			if e := sentError(at); e != nil {
				e.Usage, e.RetryAfter = u, a.RetryAfter
				return nil, c.scrub(e)
			}
		}
	}
	if !msg.IsObject() {
		return nil, c.fail(ctx, errors.New("the answer has no choices[0].message"), a)
	}
	content, thoughts := text(msg.Get("content"))
	resp := &llm.Response{
		Text:         content,
		Reasoning:    reasoning(msg),
		FinishReason: choice.Get("finish_reason").String(),
		Model:        root.Get("model").String(),
		Usage:        u,
		Raw:          llm.Compact(body),
	}
	resp.Reasoning = cmp.Or(resp.Reasoning, thoughts)
	if lp := choice.Get("logprobs"); lp.IsObject() {
		resp.Logprobs = llm.Compact([]byte(lp.Raw))
	}
	if refusal := msg.Get("refusal"); refusal.Type == gjson.String && refusal.Str != "" {
		resp.FinishReason = llm.FinishRefusal
		if resp.Text == "" {
			resp.Text = refusal.Str
		}
	}
	return resp, nil
}

// sentError is the error that a server sent with status 200, nil if there is none.
func sentError(v gjson.Result) *llm.Error {
	msg, code, status, ok := llm.ServerError(v)
	if !ok {
		return nil
	}
	e := &llm.Error{Kind: llm.KindServer, Status: status, Code: code, Message: "an error with status 200: " + llm.Clip(msg, 500)}
	if status != 0 {
		e.Kind, e.Message = llm.KindOfStatus(status), llm.Clip(msg, 500)
	}
	return e
}

// usage reads the count of tokens. Most servers count thoughts among completion_tokens;
// some count them beside, which the total tells.
func usage(u gjson.Result) llm.Usage {
	n := func(f string) int { return int(u.Get(f).Int()) }
	out := llm.Usage{PromptTokens: n("prompt_tokens"), CompletionTokens: n("completion_tokens"),
		ReasoningTokens: cmp.Or(n("completion_tokens_details.reasoning_tokens"), n("reasoning_tokens"))}
	if out.ReasoningTokens > 0 && n("total_tokens") >= out.PromptTokens+out.CompletionTokens+out.ReasoningTokens {
		out.CompletionTokens += out.ReasoningTokens
	}
	return out
}

// reasoning reads thoughts that have a field of their own. A server that sends both names
// sends the same in each.
func reasoning(msg gjson.Result) string {
	for _, f := range []string{"reasoning_content", "reasoning"} {
		if v := msg.Get(f); v.Type == gjson.String && v.Str != "" {
			return v.Str
		}
	}
	return ""
}

// text accepts a string, null, or a list of parts, some of which may be thoughts.
func text(v gjson.Result) (content, thoughts string) {
	if !v.IsArray() {
		return v.String(), ""
	}
	var b, th strings.Builder
	v.ForEach(func(_, part gjson.Result) bool {
		if t := part.Get("thinking"); t.Exists() {
			s, _ := text(t)
			th.WriteString(s)
		} else {
			b.WriteString(part.Get("text").String())
		}
		return true
	})
	return b.String(), th.String()
}

// call makes one request and reads the whole answer. Its errors are those of fail.
func (c *Client) call(ctx context.Context, method, path, kind string, body []byte) (*llm.RawAnswer, error) {
	res, a, err := c.send(ctx, method, path, kind, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode < 300 && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		var sent *llm.Error
		if a.Body, err = gather(res.Body); errors.As(err, &sent) {
			sent.RetryAfter = a.RetryAfter
			return nil, c.scrub(sent)
		}
		a.Cut = err != nil
	} else {
		err = a.ReadBody(res)
	}
	if err != nil || a.Status >= 400 {
		return nil, c.fail(ctx, err, a)
	}
	return a, nil
}

// send makes one request; the body of the answer is the caller's to read and close.
func (c *Client) send(ctx context.Context, method, path, kind string, body []byte) (*http.Response, *llm.RawAnswer, error) {
	a := &llm.RawAnswer{}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, a, c.fail(ctx, err, a)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := c.h.Do(req)
	if err != nil {
		return nil, a, c.fail(ctx, err, a)
	}
	a.ReadHead(res)
	return res, a, nil
}

// fail turns any failure into an *llm.Error without the key.
func (c *Client) fail(ctx context.Context, err error, a *llm.RawAnswer) error {
	e := &llm.Error{Status: a.Status, RetryAfter: a.RetryAfter}
	switch {
	case a.Status >= 400:
		e.Kind = llm.KindOfStatus(a.Status)
		if body, ok := llm.ValidJSON(a.Body); ok {
			e.Message, e.Code, _, _ = llm.ServerError(gjson.ParseBytes(body))
			e.Message = llm.Clip(e.Message, 500)
		}
		if e.Message == "" {
			e.Message = llm.Clip(strings.TrimSpace(string(a.Body)), 300)
		}
		if e.Code == "insufficient_quota" {
			e.Kind = llm.KindQuota // a 429 that no waiting mends
		}
	case a.Status != 0:
		e.Kind, e.Message = llm.KindMalformed, "unreadable answer: "+err.Error()
		if a.Cut {
			e.Kind = llm.KindNetwork
		}
	case ctx.Err() != nil:
		return err // the Transport tells a timeout from a cancellation
	default:
		e.SetCause(err, c.key)
	}
	return c.scrub(e)
}

// scrub cuts the key out of what a server sent.
func (c *Client) scrub(e *llm.Error) *llm.Error {
	e.Message, e.Code = llm.Scrub(e.Message, c.key), llm.Scrub(e.Code, c.key)
	return e
}
