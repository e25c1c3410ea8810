// Package gemini is the llm.Client for Google's Gemini API, through google.golang.org/genai.
// It makes one attempt per call; llm.Transport owns the rest.
package gemini

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/genai"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/llm"
)

// DefaultBaseURL is where requests go when no base URL is given.
const DefaultBaseURL = "https://generativelanguage.googleapis.com"

// Config describes the server.
type Config struct {
	BaseURL string       // "" means DefaultBaseURL; without the API version
	Key     string       // "" for servers of one's own that need none
	HTTP    *http.Client // nil: a client of its own with a connection pool for many calls
}

// Client implements llm.Client.
type Client struct {
	c   *genai.Client
	key string
}

// New returns a client. It fails on a base URL that is not a URL.
func New(cfg Config) (*Client, error) {
	base, err := llm.CheckServer(cfg.BaseURL, DefaultBaseURL, cfg.Key)
	if err != nil {
		return nil, err
	}
	h := llm.HTTPClient(cfg.HTTP)
	next := h.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	key := cfg.Key
	if key == "" {
		key = "none" // else genai looks into the environment by itself
	}
	c, err := genai.NewClient(context.Background(), &genai.ClientConfig{
		APIKey: key, Backend: genai.BackendGeminiAPI,
		HTTPClient:  &http.Client{Transport: exchange{next}, Timeout: h.Timeout, CheckRedirect: h.CheckRedirect},
		HTTPOptions: genai.HTTPOptions{BaseURL: base},
	})
	if err != nil {
		return nil, errors.New(llm.Scrub(err.Error(), cfg.Key))
	}
	return &Client{c: c, key: cfg.Key}, nil
}

// Complete implements llm.Client. A prompt or an answer that the provider's safety filter
// blocked is an answer with the finish reason content_filter.
func (c *Client) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	call := &callInfo{}
	contents, cfg := request(req)
	err := called(func() error {
		_, err := c.c.Models.GenerateContent(context.WithValue(ctx, callKey{}, call), req.Model, contents, cfg)
		return err
	})
	if call.Failed(err) {
		return nil, c.fail(ctx, err, call)
	}
	resp, perr := parse(call.Body)
	if perr != nil {
		return nil, c.fail(ctx, perr, call)
	}
	return resp, nil
}

// called makes a call of the SDK, which panics on answers whose fields have other types
// than its own. Then the body is there as well, and ours to read.
func called(f func() error) error { return parallel.Call(f) }

// request maps a request. Numbers go through ExtraBody, because genai's types hold them as
// 32-bit floats and would send 0.8 as 0.800000011920929.
func request(req llm.Request) ([]*genai.Content, *genai.GenerateContentConfig) {
	cfg := &genai.GenerateContentConfig{}
	var contents []*genai.Content
	for _, m := range req.Messages {
		switch m.Role {
		case llm.RoleSystem:
			if cfg.SystemInstruction == nil {
				cfg.SystemInstruction = &genai.Content{}
			}
			cfg.SystemInstruction.Parts = append(cfg.SystemInstruction.Parts, genai.NewPartFromText(m.Content))
		case llm.RoleAssistant:
			contents = append(contents, genai.NewContentFromText(m.Content, genai.RoleModel))
		default:
			contents = append(contents, genai.NewContentFromText(m.Content, genai.RoleUser))
		}
	}
	gen := map[string]any{}
	if req.Temperature != nil {
		gen["temperature"] = *req.Temperature
	}
	if req.TopP != nil {
		gen["topP"] = *req.TopP
	}
	if req.MaxTokens > 0 {
		gen["maxOutputTokens"] = req.MaxTokens
	}
	if req.Seed != nil {
		gen["seed"] = *req.Seed
	}
	if len(req.Stop) > 0 {
		gen["stopSequences"] = req.Stop
	}
	if req.JSON != nil {
		gen["responseMimeType"] = "application/json"
		gen["responseJsonSchema"] = req.JSON.Schema
	}
	if req.Thinking != (llm.Thinking{}) {
		gen["thinkingConfig"] = thinking(req.Model, req.Thinking)
	}
	extra := maps.Clone(req.Extra)
	if extra == nil {
		extra = map[string]any{}
	}
	if more, ok := extra["generationConfig"].(map[string]any); ok {
		maps.Copy(gen, more)
	}
	if len(gen) > 0 {
		extra["generationConfig"] = gen
	}
	// One attempt: retries, their count and their cost belong to the Transport.
	once := int32(1)
	cfg.HTTPOptions = &genai.HTTPOptions{ExtraBody: extra, RetryOptions: &genai.HTTPRetryOptions{Attempts: &once}}
	return contents, cfg
}

func parse(body []byte) (*llm.Response, error) {
	body, ok := llm.ValidJSON(body)
	if !ok {
		return nil, errors.New("the answer is not JSON")
	}
	root := gjson.ParseBytes(body)
	u := root.Get("usageMetadata")
	resp := &llm.Response{
		Model: root.Get("modelVersion").String(),
		Usage: llm.Usage{
			PromptTokens: int(u.Get("promptTokenCount").Int() + u.Get("toolUsePromptTokenCount").Int()),
			// Thoughts are billed as output.
			CompletionTokens: int(u.Get("candidatesTokenCount").Int() + u.Get("thoughtsTokenCount").Int()),
			ReasoningTokens:  int(u.Get("thoughtsTokenCount").Int()),
		},
		Raw: llm.Compact(body),
	}
	first := root.Get("candidates.0")
	if !first.IsObject() {
		if root.Get("promptFeedback.blockReason").String() == "" {
			return nil, errors.New("the answer has neither candidates[0] nor promptFeedback.blockReason")
		}
		resp.FinishReason = llm.FinishRefusal
		return resp, nil
	}
	resp.FinishReason = first.Get("finishReason").String()
	var text, thoughts strings.Builder
	first.Get("content.parts").ForEach(func(_, p gjson.Result) bool {
		if p.Get("thought").Bool() {
			thoughts.WriteString(p.Get("text").String())
		} else {
			text.WriteString(p.Get("text").String())
		}
		return true
	})
	resp.Text, resp.Reasoning = text.String(), thoughts.String()
	if lp := first.Get("logprobsResult"); lp.IsObject() {
		resp.Logprobs = llm.Compact([]byte(lp.Raw))
	}
	return resp, nil
}

// fail turns any failure into an *llm.Error without the key.
func (c *Client) fail(ctx context.Context, err error, call *callInfo) error {
	e := &llm.Error{Status: call.Status, RetryAfter: call.RetryAfter}
	var api genai.APIError
	var sentOn *llm.Error // see llm.CheckRedirect
	switch {
	case errors.As(err, &sentOn):
		e.Kind, e.Message = sentOn.Kind, sentOn.Message
	case call.Status >= 400:
		e.Kind = llm.KindOfStatus(call.Status)
		if errors.As(err, &api) {
			e.Message, e.Code = llm.Clip(api.Message, 500), api.Status
		}
		if msg, _, _, ok := llm.ServerError(gjson.ParseBytes(call.Body)); ok && e.Message == "" {
			e.Message = llm.Clip(msg, 500)
		}
		c.details(e, gjson.GetBytes(call.Body, "error.details"))
	case call.Status != 0 && call.Cut:
		e.Kind, e.Message = llm.KindNetwork, "unreadable answer: "+err.Error()
	case call.Status != 0:
		e.Kind, e.Message = llm.KindMalformed, "unreadable answer: "+err.Error()
	case ctx.Err() != nil:
		return err // the Transport tells a timeout from a cancellation
	default:
		e.SetCause(err, c.key)
	}
	e.Message, e.Code = llm.Scrub(e.Message, c.key), llm.Scrub(e.Code, c.key)
	return e
}

// details reads what Google's error model adds: how long to wait, which quota is used up,
// and that a 400 is about the key.
func (c *Client) details(e *llm.Error, list gjson.Result) {
	list.ForEach(func(_, d gjson.Result) bool {
		switch kind := d.Get("@type").String(); {
		case strings.HasSuffix(kind, "google.rpc.RetryInfo"):
			if w, err := time.ParseDuration(d.Get("retryDelay").String()); err == nil && w > 0 && e.RetryAfter == 0 {
				e.RetryAfter = w
			}
		case strings.HasSuffix(kind, "google.rpc.QuotaFailure"):
			for _, v := range d.Get("violations").Array() {
				if strings.Contains(v.Get("quotaId").String(), "PerDay") {
					e.Kind = llm.KindQuota // waiting a minute does not help
				}
			}
		case strings.HasSuffix(kind, "google.rpc.ErrorInfo") && d.Get("reason").String() == "API_KEY_INVALID":
			e.Kind = llm.KindAuth
		}
		return true
	})
}

type callKey struct{}

// callInfo travels with one call's context: genai gives neither the headers of a failed
// call nor the body as received.
type callInfo struct {
	llm.RawAnswer
}

// exchange keeps the raw answer and its Retry-After.
type exchange struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (x exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	call, ok := req.Context().Value(callKey{}).(*callInfo)
	if !ok {
		return x.next.RoundTrip(req)
	}
	res, err := x.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	call.ReadHead(res)
	if err := call.ReadBody(res); err != nil {
		return nil, err
	}
	return res, nil
}
