// Package openai is the llm.Client for every server that speaks OpenAI's chat completions:
// OpenAI itself, DeepInfra, Together, vLLM, Ollama, llama.cpp and others, told apart by
// their base URL. It makes one attempt per call; llm.Transport owns the rest.
package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	openai "github.com/sashabaranov/go-openai"
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

// Client implements llm.Client.
type Client struct {
	c      *openai.Client
	tokens string
	key    string
	base   string
	stream bool
}

// New returns a client. It fails on a base URL that is none.
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
	h := llm.HTTPClient(cfg.HTTP)
	oc := openai.DefaultConfig(cfg.Key)
	oc.BaseURL = base
	oc.HTTPClient = exchange{h}
	return &Client{c: openai.NewClientWithConfig(oc), tokens: cfg.TokensField, key: cfg.Key, base: base, stream: cfg.Stream}, nil
}

// Complete implements llm.Client.
func (c *Client) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	call := &callInfo{patch: map[string]any{}}
	for k, v := range req.Extra {
		call.patch[k] = v
	}
	if c.stream {
		call.patch["stream"] = true
		call.patch["stream_options"] = map[string]any{"include_usage": true}
	}
	r := c.request(req, call)
	_, err := c.c.CreateChatCompletion(context.WithValue(ctx, callKey{}, call), r)
	if call.Failed(err) {
		return nil, c.fail(ctx, err, call)
	}
	// A good status: what counts is whether the answer can be read, not whether it fits
	// go-openai's types to the last field.
	resp, perr := parse(call.Body)
	if perr != nil {
		return nil, c.fail(ctx, perr, call)
	}
	return resp, nil
}

// request maps the fields go-openai knows. What its types cannot say (a temperature of
// zero, fields of other servers) goes through the patch, which exchange applies.
func (c *Client) request(req llm.Request, call *callInfo) openai.ChatCompletionRequest {
	r := openai.ChatCompletionRequest{Model: req.Model, Stop: req.Stop}
	for _, m := range req.Messages {
		r.Messages = append(r.Messages, openai.ChatCompletionMessage{Role: m.Role, Content: m.Content})
	}
	if req.Temperature != nil {
		call.patch["temperature"] = *req.Temperature
	}
	if req.TopP != nil {
		call.patch["top_p"] = *req.TopP
	}
	if req.Seed != nil {
		call.patch["seed"] = *req.Seed
	}
	if req.MaxTokens > 0 {
		call.patch[c.tokensField(req.Model)] = req.MaxTokens
	}
	if s := req.JSON; s != nil {
		r.ResponseFormat = &openai.ChatCompletionResponseFormat{
			Type: openai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{
				Name: s.Name, Schema: s.Schema, Strict: s.Strict,
			},
		}
	}
	return r
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

// parse reads the answer from the received body rather than from go-openai's struct, which
// knows neither of the two newer names of reasoning text nor null contents.
func parse(body []byte) (*llm.Response, error) {
	if !gjson.ValidBytes(body) {
		return nil, errors.New("the answer is not JSON")
	}
	root := gjson.ParseBytes(body)
	choice := root.Get("choices.0")
	msg := choice.Get("message")
	if !msg.IsObject() {
		if m := root.Get("error.message"); m.Exists() {
			return nil, fmt.Errorf("the answer is an error with status 200: %s", m.String())
		}
		return nil, errors.New("the answer has no choices[0].message")
	}
	resp := &llm.Response{
		Text:         text(msg.Get("content")),
		FinishReason: choice.Get("finish_reason").String(),
		Model:        root.Get("model").String(),
		Usage: llm.Usage{
			PromptTokens:     int(root.Get("usage.prompt_tokens").Int()),
			CompletionTokens: int(root.Get("usage.completion_tokens").Int()),
		},
		Raw: compact(body),
	}
	if lp := choice.Get("logprobs"); lp.IsObject() {
		resp.Logprobs = compact([]byte(lp.Raw))
	}
	for _, f := range []string{"reasoning_content", "reasoning"} {
		if v := msg.Get(f); v.Type == gjson.String && v.Str != "" {
			resp.Reasoning = v.Str
			break
		}
	}
	if refusal := msg.Get("refusal"); refusal.Type == gjson.String && refusal.Str != "" {
		resp.FinishReason = llm.FinishRefusal
		if resp.Text == "" {
			resp.Text = refusal.Str
		}
	}
	if resp.FinishReason == "" {
		resp.FinishReason = llm.FinishStop
	}
	return resp, nil
}

// text accepts a string, null, or a list of text parts.
func text(v gjson.Result) string {
	if !v.IsArray() {
		return v.String()
	}
	var b strings.Builder
	v.ForEach(func(_, part gjson.Result) bool {
		b.WriteString(part.Get("text").String())
		return true
	})
	return b.String()
}

func compact(body []byte) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return nil
	}
	return b.Bytes()
}

// fail turns any failure into an *llm.Error without the key.
func (c *Client) fail(ctx context.Context, err error, call *callInfo) error {
	e := &llm.Error{Status: call.Status, RetryAfter: call.RetryAfter}
	var api *openai.APIError
	switch {
	case errors.As(err, &api):
		e.Message = api.Message
		if api.Code != nil {
			e.Code = fmt.Sprint(api.Code)
		}
		if e.Code == "" {
			e.Code = api.Type
		}
	case call.Status >= 400:
		e.Message = llm.Clip(strings.TrimSpace(string(call.Body)), 300)
	case call.Status != 0:
		// A good status, but a body that go-openai could not read or that broke off.
		e.Message = "unreadable answer: " + err.Error()
	case ctx.Err() != nil:
		return err // the Transport tells a timeout from a cancellation
	default:
		// url.Error repeats the URL; a base URL may hold what its owner keeps private.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		e.Message, e.Err = err.Error(), err
	}
	switch {
	case call.Status >= 400:
		e.Kind = llm.KindOfStatus(call.Status)
		if e.Code == "insufficient_quota" {
			e.Kind = llm.KindQuota // a 429 that no waiting mends
		}
	case call.Status != 0 && call.Cut:
		e.Kind = llm.KindNetwork
	case call.Status != 0:
		e.Kind = llm.KindMalformed
	default:
		e.Kind = llm.KindOf(err)
	}
	e.Message, e.Code = llm.Scrub(e.Message, c.key), llm.Scrub(e.Code, c.key)
	if e.Err != nil && c.key != "" && strings.Contains(e.Err.Error(), c.key) {
		e.Err = nil
	}
	return e
}

type callKey struct{}

// callInfo travels with one call's context between Complete and exchange: go-openai passes
// neither unknown request fields nor, on errors, the response headers.
type callInfo struct {
	patch  map[string]any
	stream bool // leave a good answer's body to the reader: it may be large
	llm.RawAnswer
}

// exchange is go-openai's HTTP client: it completes the request's body and keeps the raw
// answer and its Retry-After.
type exchange struct{ h *http.Client }

// Do implements go-openai's HTTPDoer.
func (x exchange) Do(req *http.Request) (*http.Response, error) {
	call, ok := req.Context().Value(callKey{}).(*callInfo)
	if !ok {
		return x.h.Do(req)
	}
	if err := patch(req, call.patch); err != nil {
		return nil, err
	}
	res, err := x.h.Do(req)
	if err != nil {
		return nil, err
	}
	call.ReadHead(res)
	if call.stream && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	if res.StatusCode < 300 && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return call.gather(res)
	}
	if err := call.ReadBody(res); err != nil {
		return nil, err
	}
	return res, nil
}

// gather replaces a streamed answer by the whole one.
func (call *callInfo) gather(res *http.Response) (*http.Response, error) {
	body, err := gather(res.Body)
	var se *streamError
	switch {
	case errors.As(err, &se):
		call.Status, call.Body = se.status, []byte(se.message)
		return nil, err
	case err != nil:
		call.Cut = true
		return nil, err
	}
	call.Body = body
	res.Header.Set("Content-Type", "application/json")
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// patch sets fields of the request's JSON body.
func patch(req *http.Request, fields map[string]any) error {
	if len(fields) == 0 || req.Body == nil {
		return nil
	}
	old, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	out, err := patchJSON(old, fields)
	if err != nil {
		return err
	}
	req.Body = io.NopCloser(bytes.NewReader(out))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out)), nil }
	req.ContentLength = int64(len(out))
	return nil
}

func patchJSON(old []byte, fields map[string]any) ([]byte, error) {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(old, &body); err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	for k, v := range fields {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("request field %s: %w", k, err)
		}
		body[k] = b
	}
	return json.Marshal(body)
}
