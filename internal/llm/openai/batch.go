package openai

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	openai "github.com/sashabaranov/go-openai"
	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

// Bounds of a batch. The API takes 50,000 requests in a file of 200 MB; the file is held in
// memory while it is sent, hence the lower limit on bytes.
const (
	batchRequests = 50_000
	batchBytes    = 50 << 20
)

// batchName is the metadata field that tells our batches from others.
const batchName = "distillflow"

// BatchLimits implements llm.BatchClient.
func (c *Client) BatchLimits() llm.BatchLimits {
	return llm.BatchLimits{Requests: batchRequests, Bytes: batchBytes}
}

// EncodeForBatch implements llm.BatchClient: one line of a batch file, whose body is that of the
// single call, but never streamed.
func (c *Client) EncodeForBatch(id string, req llm.Request) ([]byte, error) {
	call := &callInfo{patch: map[string]any{}}
	for k, v := range req.Extra {
		call.patch[k] = v
	}
	body, err := json.Marshal(c.request(req, call))
	if err == nil {
		body, err = patchJSON(body, call.patch)
	}
	if err != nil {
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	}
	return json.Marshal(struct {
		ID     string               `json:"custom_id"`
		Method string               `json:"method"`
		URL    openai.BatchEndpoint `json:"url"`
		Body   json.RawMessage      `json:"body"`
	}{id, "POST", openai.BatchEndpointChatCompletions, body})
}

// SubmitBatch implements llm.BatchClient: it uploads a file and creates a batch of it. Only
// the second step costs anything.
func (c *Client) SubmitBatch(ctx context.Context, name, _ string, elements [][]byte) (string, error) {
	file, err := do(ctx, c, func(ctx context.Context) (openai.File, error) {
		return c.c.CreateFileBytes(ctx, openai.FileBytesRequest{
			Name: name + ".jsonl", Bytes: append(bytes.Join(elements, []byte("\n")), '\n'), Purpose: openai.PurposeBatch,
		})
	})
	if err != nil {
		return "", err
	}
	b, err := do(ctx, c, func(ctx context.Context) (openai.BatchResponse, error) {
		return c.c.CreateBatch(ctx, openai.CreateBatchRequest{
			InputFileID: file.ID, Endpoint: openai.BatchEndpointChatCompletions, CompletionWindow: "24h",
			Metadata: map[string]any{batchName: name},
		})
	})
	if err == nil && b.ID == "" {
		err = &llm.Error{Kind: llm.KindMalformed, Message: "the answer names no batch"}
	}
	return b.ID, err
}

// listPage is how many batches one look at the list gives.
const listPage = 100

// FindBatch implements llm.BatchClient. The list begins with the newest batch.
func (c *Client) FindBatch(ctx context.Context, name string, since time.Time) (string, bool, error) {
	var after *string
	for {
		page, err := do(ctx, c, func(ctx context.Context) (openai.ListBatchResponse, error) {
			n := listPage
			return c.c.ListBatch(ctx, after, &n)
		})
		if err != nil {
			return "", false, err
		}
		for _, b := range page.Data {
			if b.Metadata[batchName] == name {
				return b.ID, true, nil
			}
			if b.CreatedAt > 0 && int64(b.CreatedAt) < since.Unix() {
				return "", false, nil
			}
		}
		if !page.HasMore || len(page.Data) == 0 {
			return "", false, nil
		}
		after = &page.Data[len(page.Data)-1].ID
	}
}

// BatchState implements llm.BatchClient.
func (c *Client) BatchState(ctx context.Context, id string) (llm.BatchState, error) {
	b, err := c.batch(ctx, id)
	if err != nil {
		return llm.BatchState{}, err
	}
	s := llm.BatchState{Status: b.Status, Total: b.RequestCounts.Total, Done: b.RequestCounts.Completed, Failed: b.RequestCounts.Failed}
	switch b.Status {
	case "completed", "failed", "expired", "cancelled":
		s.Ended = true
	}
	if b.Errors != nil {
		for _, e := range b.Errors.Data {
			if s.Message == "" {
				s.Message = llm.Scrub(e.Message, c.key)
			}
			s.Full = s.Full || e.Code == "token_limit_exceeded"
		}
	}
	return s, nil
}

func (c *Client) batch(ctx context.Context, id string) (openai.BatchResponse, error) {
	return do(ctx, c, func(ctx context.Context) (openai.BatchResponse, error) { return c.c.RetrieveBatch(ctx, id) })
}

// BatchAnswers implements llm.BatchClient. Answers and errors lie in a file each; a batch that
// ended early has those it got to.
func (c *Client) BatchAnswers(ctx context.Context, id string, each func(llm.BatchAnswer) error) error {
	b, err := c.batch(ctx, id)
	if err != nil {
		return err
	}
	for _, file := range []*string{b.OutputFileID, b.ErrorFileID} {
		if file == nil || *file == "" {
			continue
		}
		if err := c.answers(ctx, *file, each); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) answers(ctx context.Context, file string, each func(llm.BatchAnswer) error) error {
	call := &callInfo{stream: true}
	raw, err := c.c.GetFileContent(context.WithValue(ctx, callKey{}, call), file)
	if err != nil {
		return c.fail(ctx, err, call)
	}
	defer raw.Close()
	lines := bufio.NewReaderSize(raw, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if !gjson.ValidBytes(line) {
				// Half a line is a cut connection; anything else is read again as well.
				return &llm.Error{Kind: llm.KindMalformed, Message: "a line of the batch's answers is not JSON"}
			}
			if err := each(c.answer(gjson.ParseBytes(line))); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return &llm.Error{Kind: llm.KindNetwork, Message: "reading the batch's answers: " + llm.Scrub(err.Error(), c.key)}
		}
	}
}

// answer reads one line: a response with a status, or an error of the batch itself.
func (c *Client) answer(line gjson.Result) llm.BatchAnswer {
	a := llm.BatchAnswer{ID: line.Get("custom_id").String()}
	body, status := line.Get("response.body"), int(line.Get("response.status_code").Int())
	if !body.IsObject() || status >= 400 {
		e := &llm.Error{Kind: llm.KindOfStatus(status), Status: status, Code: line.Get("error.code").String(), Message: line.Get("error.message").String()}
		if e.Message == "" {
			e.Message, e.Code = body.Get("error.message").String(), body.Get("error.code").String()
		}
		e.Message, e.Code = llm.Scrub(llm.Clip(e.Message, 500), c.key), llm.Scrub(e.Code, c.key)
		a.Err = e
		return a
	}
	resp, err := parse([]byte(body.Raw))
	if err != nil {
		a.Err = &llm.Error{Kind: llm.KindMalformed, Message: fmt.Sprintf("unreadable answer: %s", llm.Scrub(err.Error(), c.key))}
		return a
	}
	a.Response = resp
	return a
}

// do makes one call of the SDK and reads its failure as that of a completion.
func do[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (T, error) {
	call := &callInfo{}
	v, err := f(context.WithValue(ctx, callKey{}, call))
	if err != nil {
		var zero T
		return zero, c.fail(ctx, err, call)
	}
	return v, nil
}
