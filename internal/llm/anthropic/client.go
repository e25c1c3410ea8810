// Package anthropic is the llm.Client for Anthropic's Messages API, by its official SDK. It
// makes one attempt per call; llm.Transport owns the rest.
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"
	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

// DefaultBaseURL is where requests go when no base URL is given.
const DefaultBaseURL = "https://api.anthropic.com"

// Config describes the server.
type Config struct {
	BaseURL string       // "" means DefaultBaseURL; without the API version
	Key     string       // "" for servers of one's own that need none
	HTTP    *http.Client // nil: a client of its own with a connection pool for many calls
}

// Client implements llm.Client and llm.BatchClient.
type Client struct {
	c   anthropic.Client
	key string

	mu   sync.Mutex
	mine map[string]string // names of the batches that this client submitted, by id
}

// New returns a client. It fails on a base URL that is not one.
func New(cfg Config) (*Client, error) {
	base, err := llm.CheckServer(cfg.BaseURL, DefaultBaseURL, cfg.Key)
	if err != nil {
		return nil, err
	}
	opts := []option.RequestOption{
		option.WithoutEnvironmentDefaults(), option.WithBaseURL(base + "/"), option.WithHTTPClient(llm.HTTPClient(cfg.HTTP)),
		// One attempt: retries, their count and their cost belong to the Transport, and so
		// does the time limit. Without one of its own the SDK refuses long answers.
		option.WithMaxRetries(0), option.WithRequestTimeout(24 * time.Hour), option.WithMiddleware(bounded),
	}
	if cfg.Key != "" {
		opts = append(opts, option.WithAPIKey(cfg.Key))
	}
	return &Client{c: anthropic.NewClient(opts...), key: cfg.Key, mine: map[string]string{}}, nil
}

// bounded limits answers, which the SDK reads whole. The results of a batch it reads line
// by line, with a limit of its own.
func bounded(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	res, err := next(r)
	if err == nil && (res.StatusCode >= 400 || !strings.HasSuffix(r.URL.Path, "/results")) {
		res.Body = llm.Bounded(res.Body, llm.MaxAnswer)
	}
	return res, err
}

// Complete implements llm.Client.
func (c *Client) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	p, err := params(req)
	if err != nil {
		return nil, err
	}
	msg, err := given(c.c.Messages.New(ctx, p))
	if err != nil {
		return nil, c.fail(ctx, err)
	}
	return c.response(msg)
}

// given makes an error of an answer that is null, for which the SDK gives nothing.
func given[T any](v *T, err error) (*T, error) {
	if err == nil && v == nil {
		err = errors.New("it is null")
	}
	return v, err
}

// Limits of a request.
const (
	defaultMaxTokens = 4096 // the API demands a limit
	// leastCached is the size in bytes of a system prompt that is worth a place in the
	// provider's cache: it takes none below 1,024 tokens.
	leastCached = 4096
)

// params maps a request. Extra fields go before all others but messages.
func params(req llm.Request) (anthropic.MessageNewParams, error) {
	p := anthropic.MessageNewParams{Model: req.Model, MaxTokens: int64(req.MaxTokens), StopSequences: req.Stop}
	if p.MaxTokens == 0 {
		p.MaxTokens = defaultMaxTokens
	}
	for _, m := range req.Messages {
		text := anthropic.NewTextBlock(m.Content)
		switch m.Role {
		case llm.RoleSystem:
			block := anthropic.TextBlockParam{Text: m.Content}
			if len(m.Content) >= leastCached { // the other requests of the stage have the same
				block.CacheControl = anthropic.NewCacheControlEphemeralParam()
			}
			p.System = append(p.System, block)
		case llm.RoleAssistant:
			p.Messages = append(p.Messages, anthropic.NewAssistantMessage(text))
		default:
			p.Messages = append(p.Messages, anthropic.NewUserMessage(text))
		}
	}
	if req.Temperature != nil {
		p.Temperature = param.NewOpt(*req.Temperature)
	}
	if req.TopP != nil {
		p.TopP = param.NewOpt(*req.TopP)
	}
	if req.JSON != nil {
		var schema map[string]any
		if err := json.Unmarshal(req.JSON.Schema, &schema); err != nil {
			return p, &llm.Error{Kind: llm.KindInvalid, Message: "json_schema: " + err.Error()}
		}
		p.OutputConfig.Format = anthropic.JSONOutputFormatParam{Schema: schema}
	}
	think(&p, req.Thinking)
	if len(req.Extra) > 0 {
		p.SetExtraFields(req.Extra)
	}
	return p, nil
}

// response reads an answer.
func (c *Client) response(msg *anthropic.Message) (*llm.Response, error) {
	raw := []byte(msg.RawJSON())
	if !msg.JSON.Content.Valid() {
		e := &llm.Error{Kind: llm.KindMalformed, Status: http.StatusOK, Message: "the answer has no content"}
		if text, code, status, ok := llm.ServerError(gjson.ParseBytes(raw)); ok {
			e.Kind, e.Code, e.Message = llm.KindServer, code, "an error with status 200: "+text
			if status != 0 {
				e.Kind = llm.KindOfStatus(status)
			}
		}
		return nil, c.scrub(e)
	}
	var text, thoughts strings.Builder
	for _, b := range msg.Content {
		switch b.Type {
		case "text":
			text.WriteString(b.Text)
		case "thinking":
			thoughts.WriteString(b.Thinking)
		}
	}
	u := msg.Usage
	return &llm.Response{
		Text: text.String(), Reasoning: thoughts.String(), FinishReason: string(msg.StopReason), Model: msg.Model,
		Usage: llm.Usage{
			PromptTokens:     int(u.InputTokens + u.CacheCreationInputTokens + u.CacheReadInputTokens),
			CompletionTokens: int(u.OutputTokens), ReasoningTokens: int(u.OutputTokensDetails.ThinkingTokens),
			CacheWriteTokens: int(u.CacheCreationInputTokens), CacheReadTokens: int(u.CacheReadInputTokens),
		},
		Raw: llm.Compact(raw),
	}, nil
}

// fail turns any failure into an *llm.Error without the key.
func (c *Client) fail(ctx context.Context, err error) error {
	var api *anthropic.Error
	var ue *url.Error
	e := &llm.Error{}
	switch {
	case errors.As(err, &api):
		e.Kind, e.Status = llm.KindOfStatus(api.StatusCode), api.StatusCode
		e.RetryAfter = retryAfter(api.Response.Header, time.Now())
		e.Message, e.Code, _, _ = llm.ServerError(gjson.Parse(api.RawJSON()))
		if e.Message == "" {
			e.Message = strings.TrimSpace(api.RawJSON())
		}
		if api.Type() == "billing_error" || strings.Contains(e.Message, "credit balance is too low") {
			e.Kind = llm.KindQuota
		}
	case ctx.Err() != nil:
		return err // the Transport tells a timeout from a cancellation
	case errors.As(err, &ue): // it repeats the URL, which may hold what its owner keeps private
		e.Kind, e.Message = llm.KindOf(ue.Err), ue.Err.Error()
	default:
		e.Kind, e.Message = llm.KindOf(err), "unreadable answer: "+err.Error()
		if e.Kind == llm.KindOther || strings.Contains(e.Message, "parsing response json") {
			e.Kind = llm.KindMalformed
		}
	}
	return c.scrub(e)
}

// scrub cuts the key out of what a server sent.
func (c *Client) scrub(e *llm.Error) *llm.Error {
	e.Message, e.Code = llm.Scrub(llm.Clip(e.Message, 500), c.key), llm.Scrub(e.Code, c.key)
	return e
}

// retryAfter is what the server asks to wait. Where it names no time, its limits do: that
// of the last one to be free again among those that are used up.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d := llm.ParseRetryAfter(h, now); d > 0 {
		return d
	}
	var wait time.Duration
	for _, limit := range []string{"Requests", "Tokens", "Input-Tokens", "Output-Tokens"} {
		left, err := strconv.Atoi(h.Get("Anthropic-Ratelimit-" + limit + "-Remaining"))
		reset, terr := time.Parse(time.RFC3339, h.Get("Anthropic-Ratelimit-"+limit+"-Reset"))
		if err == nil && terr == nil && left <= 0 {
			wait = max(wait, reset.Sub(now))
		}
	}
	return wait
}
