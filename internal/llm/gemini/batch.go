package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/genai"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
	"github.com/distillflow/distillflow/internal/llm"
)

// Bounds of a batch. The API takes 20 MB of requests in the call that creates a batch and
// gives no bound on their number; its answer holds all responses at once, hence ours.
const (
	batchRequests = 5_000
	batchBytes    = 18 << 20
)

// BatchLimits implements llm.BatchClient.
func (c *Client) BatchLimits() llm.BatchLimits {
	return llm.BatchLimits{Requests: batchRequests, Bytes: batchBytes}
}

// EncodeForBatch implements llm.BatchClient: an inlined request whose body is that of the single
// call.
func (c *Client) EncodeForBatch(id string, req llm.Request) ([]byte, error) {
	contents, cfg := request(req)
	body := map[string]any{}
	for k, v := range cfg.HTTPOptions.ExtraBody {
		body[k] = v
	}
	body["contents"] = contents
	if cfg.SystemInstruction != nil {
		system := *cfg.SystemInstruction
		system.Role = genai.RoleUser // as the SDK has it in a single call
		body["systemInstruction"] = system
	}
	b, err := json.Marshal(map[string]any{"request": body, "metadata": map[string]string{"key": id}})
	if err != nil {
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	}
	return b, nil
}

// SubmitBatch implements llm.BatchClient.
func (c *Client) SubmitBatch(ctx context.Context, name, model string, elements [][]byte) (string, error) {
	list := make([]map[string]any, len(elements)) // the SDK's own type of this field
	for i, e := range elements {
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(e, &parts); err != nil {
			return "", &llm.Error{Kind: llm.KindInvalid, Err: err}
		}
		list[i] = map[string]any{}
		for k, v := range parts {
			list[i][k] = v
		}
	}
	// The SDK wants requests of its own types, whose numbers are 32-bit floats; ours take
	// their place in the body.
	once := int32(1)
	body := map[string]any{"batch": map[string]any{"inputConfig": map[string]any{"requests": map[string]any{"requests": list}}}}
	root, err := c.do(ctx, func(ctx context.Context) error {
		_, err := c.c.Batches.Create(ctx, model,
			&genai.BatchJobSource{InlinedRequests: []*genai.InlinedRequest{{Contents: genai.Text("-")}}},
			&genai.CreateBatchJobConfig{DisplayName: name, HTTPOptions: &genai.HTTPOptions{
				ExtraBody: body, RetryOptions: &genai.HTTPRetryOptions{Attempts: &once}}})
		return err
	})
	if err != nil {
		return "", err
	}
	id := root.Get("name").String()
	if id == "" {
		return "", &llm.Error{Kind: llm.KindMalformed, Message: "the answer names no batch"}
	}
	return id, nil
}

// FindBatch implements llm.BatchClient. The list begins with the newest batch.
func (c *Client) FindBatch(ctx context.Context, name string, since time.Time) (string, bool, error) {
	token := ""
	for pages := 0; ; pages++ {
		if pages == llm.MaxPages {
			return "", false, llm.ErrPages
		}
		once := int32(1)
		root, err := c.do(ctx, func(ctx context.Context) error {
			_, err := c.c.Batches.List(ctx, &genai.ListBatchJobsConfig{PageSize: 100, PageToken: token,
				HTTPOptions: &genai.HTTPOptions{RetryOptions: &genai.HTTPRetryOptions{Attempts: &once}}})
			return err
		})
		if err != nil {
			return "", false, err
		}
		for _, b := range root.Get("operations").Array() {
			meta := b.Get("metadata")
			if meta.Get("displayName").String() == name {
				return b.Get("name").String(), true, nil
			}
			if at := meta.Get("createTime").Time(); !at.IsZero() && at.Before(since) {
				return "", false, nil
			}
		}
		if token = root.Get("nextPageToken").String(); token == "" {
			return "", false, nil
		}
	}
}

// BatchState implements llm.BatchClient.
func (c *Client) BatchState(ctx context.Context, id string) (llm.BatchState, error) {
	root, err := c.get(ctx, id)
	if err != nil {
		return llm.BatchState{}, err
	}
	meta := root.Get("metadata")
	// The service says BATCH_STATE_..., the SDK's types JOB_STATE_....
	state := meta.Get("state").String()
	state = strings.TrimPrefix(strings.TrimPrefix(state, "BATCH_STATE_"), "JOB_STATE_")
	stats := meta.Get("batchStats")
	s := llm.BatchState{
		Status: strings.ToLower(state), Total: int(stats.Get("requestCount").Int()),
		Done: int(stats.Get("successfulRequestCount").Int()), Failed: int(stats.Get("failedRequestCount").Int()),
		Message: llm.Scrub(root.Get("error.message").String(), c.key),
	}
	switch state {
	case "SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED":
		s.Ended = true
	}
	s.Full = state == "FAILED" && root.Get("error.code").Int() == 8 // RESOURCE_EXHAUSTED
	return s, nil
}

func (c *Client) get(ctx context.Context, id string) (gjson.Result, error) {
	once := int32(1)
	return c.do(ctx, func(ctx context.Context) error {
		_, err := c.c.Batches.Get(ctx, id, &genai.GetBatchJobConfig{
			HTTPOptions: &genai.HTTPOptions{RetryOptions: &genai.HTTPRetryOptions{Attempts: &once}}})
		return err
	})
}

// CancelBatch implements llm.BatchClient.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	once := int32(1)
	_, err := c.do(ctx, func(ctx context.Context) error {
		return c.c.Batches.Cancel(ctx, id, &genai.CancelBatchJobConfig{
			HTTPOptions: &genai.HTTPOptions{RetryOptions: &genai.HTTPRetryOptions{Attempts: &once}}})
	})
	return err
}

// BatchAnswers implements llm.BatchClient.
func (c *Client) BatchAnswers(ctx context.Context, id string, each func(llm.BatchAnswer) error) error {
	root, err := c.get(ctx, id)
	if err != nil {
		return err
	}
	list := root.Get("metadata.output.inlinedResponses.inlinedResponses")
	if !list.IsArray() {
		list = root.Get("response.inlinedResponses.inlinedResponses")
	}
	list.ForEach(func(_, one gjson.Result) bool {
		err = each(c.answer(one))
		return err == nil
	})
	return err
}

func (c *Client) answer(one gjson.Result) llm.BatchAnswer {
	a := llm.BatchAnswer{ID: one.Get("metadata.key").String()}
	if e := one.Get("error"); e.Exists() {
		kind := llm.KindServer
		switch e.Get("code").Int() {
		case 3, 9, 11: // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE
			kind = llm.KindInvalid
		}
		a.Err = &llm.Error{Kind: kind, Message: llm.Scrub(llm.Clip(e.Get("message").String(), 500), c.key)}
		return a
	}
	resp, err := parse([]byte(one.Get("response").Raw))
	if err != nil {
		a.Err = &llm.Error{Kind: llm.KindMalformed, Message: fmt.Sprintf("unreadable answer: %s", llm.Scrub(err.Error(), c.key))}
		return a
	}
	a.Response = resp
	return a
}

// do makes one call of the SDK and gives the body as received.
func (c *Client) do(ctx context.Context, f func(context.Context) error) (gjson.Result, error) {
	call := &callInfo{}
	call.Max = batchAnswerBytes
	err := called(func() error { return f(context.WithValue(ctx, callKey{}, call)) })
	if call.Failed(err) {
		return gjson.Result{}, c.fail(ctx, err, call)
	}
	if !jsoncheck.Valid(call.Body) {
		return gjson.Result{}, c.fail(ctx, errors.New("the answer is not JSON"), call)
	}
	return gjson.ParseBytes(call.Body), nil
}

// batchAnswerBytes bounds the answer that holds all responses of a batch, in bytes.
const batchAnswerBytes = 512 << 20
