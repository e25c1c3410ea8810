package anthropic

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"
	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

// Bounds of a batch. The API takes 100,000 requests and 256 MB; the body is held in memory
// while it is sent, hence the lower limits.
const (
	batchRequests = 50_000
	batchBytes    = 50 << 20
)

var _ llm.BatchClient = (*Client)(nil)

// element is one request of a batch.
type element struct {
	ID     string          `json:"custom_id"`
	Params json.RawMessage `json:"params"`
}

// BatchLimits implements llm.BatchClient.
func (c *Client) BatchLimits() llm.BatchLimits {
	return llm.BatchLimits{Requests: batchRequests, Bytes: batchBytes}
}

// EncodeForBatch implements llm.BatchClient: the parameters are those of the single call.
func (c *Client) EncodeForBatch(id string, req llm.Request) ([]byte, error) {
	p, err := params(req)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, &llm.Error{Kind: llm.KindInvalid, Err: err}
	}
	return json.Marshal(element{id, body})
}

// mark is the part of a batch's name that goes into the ids of its requests: the API keeps
// no name of a batch, and an id has at most 64 characters.
func mark(name string) string {
	const most = 20
	return "_" + name[max(0, len(name)-most):]
}

// SubmitBatch implements llm.BatchClient.
func (c *Client) SubmitBatch(ctx context.Context, name, _ string, elements [][]byte) (string, error) {
	list := make([]element, len(elements))
	for i, e := range elements {
		if err := json.Unmarshal(e, &list[i]); err != nil {
			return "", &llm.Error{Kind: llm.KindInvalid, Err: err}
		}
		list[i].ID += mark(name)
	}
	var p anthropic.MessageBatchNewParams
	p.SetExtraFields(map[string]any{"requests": list})
	b, err := given(c.c.Messages.Batches.New(ctx, p))
	if err != nil {
		return "", c.fail(ctx, err)
	}
	if b.ID == "" {
		return "", &llm.Error{Kind: llm.KindMalformed, Message: "the answer does not name a batch"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine[b.ID] = name
	return b.ID, nil
}

// FindBatch implements llm.BatchClient. A batch shows the ids of its requests, and with them
// its name, only when it has ended. So an open one that another process submitted may be the
// one that is looked for: to say that there is none would buy its answers twice.
func (c *Client) FindBatch(ctx context.Context, name string, since time.Time) (string, bool, error) {
	open := ""
	after := param.Opt[string]{}
	for pages := 0; ; pages++ {
		if pages == llm.MaxPages {
			return "", false, llm.ErrPages
		}
		page, err := given(c.c.Messages.Batches.List(ctx, anthropic.MessageBatchListParams{Limit: param.NewOpt[int64](100), AfterID: after}))
		if err != nil {
			return "", false, c.fail(ctx, err)
		}
		last := !page.HasMore || len(page.Data) == 0
		for _, b := range page.Data {
			if b.CreatedAt.Before(since) { // the newest stand first
				last = true
				break
			}
			c.mu.Lock()
			known, ok := c.mine[b.ID]
			c.mu.Unlock()
			switch {
			case ok && known == name:
				return b.ID, true, nil
			case ok:
			case b.ProcessingStatus != anthropic.MessageBatchProcessingStatusEnded:
				open = b.ID
			default:
				first, err := c.first(ctx, b.ID)
				if err != nil {
					return "", false, err
				}
				if strings.HasSuffix(first, mark(name)) {
					return b.ID, true, nil
				}
			}
		}
		if last {
			break
		}
		after = param.NewOpt(page.LastID)
	}
	if open != "" {
		return "", false, &llm.Error{Kind: llm.KindBatch, Message: fmt.Sprintf(
			"a batch may or may not have been submitted, and %s may be it, which shows only when it has ended: run again then, or cancel it", open)}
	}
	return "", false, nil
}

// first is the id of a request of an ended batch, "" if it shows none.
func (c *Client) first(ctx context.Context, id string) (string, error) {
	s := c.c.Messages.Batches.ResultsStreaming(ctx, id, anthropic.MessageBatchResultsParams{})
	defer s.Close()
	if s.Next() {
		return s.Current().CustomID, nil
	}
	if err := s.Err(); err != nil {
		err = c.fail(ctx, err)
		if llm.KindOf(err) == llm.KindNotFound { // its results are deleted: not one of these days
			err = nil
		}
		return "", err
	}
	return "", nil
}

// BatchState implements llm.BatchClient.
func (c *Client) BatchState(ctx context.Context, id string) (llm.BatchState, error) {
	b, err := given(c.c.Messages.Batches.Get(ctx, id, anthropic.MessageBatchGetParams{}))
	if err != nil {
		return llm.BatchState{}, c.fail(ctx, err)
	}
	n := b.RequestCounts
	return llm.BatchState{
		Ended: b.ProcessingStatus == anthropic.MessageBatchProcessingStatusEnded, Status: string(b.ProcessingStatus),
		Total: int(n.Processing + n.Succeeded + n.Errored + n.Canceled + n.Expired),
		Done:  int(n.Succeeded), Failed: int(n.Errored),
	}, nil
}

// CancelBatch implements llm.BatchClient.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	if _, err := c.c.Messages.Batches.Cancel(ctx, id, anthropic.MessageBatchCancelParams{}); err != nil {
		return c.fail(ctx, err)
	}
	return nil
}

// BatchAnswers implements llm.BatchClient.
func (c *Client) BatchAnswers(ctx context.Context, id string, each func(llm.BatchAnswer) error) error {
	s := c.c.Messages.Batches.ResultsStreaming(ctx, id, anthropic.MessageBatchResultsParams{})
	defer s.Close()
	for s.Next() {
		one := s.Current()
		a := llm.BatchAnswer{ID: one.CustomID[:max(0, strings.LastIndexByte(one.CustomID, '_'))]}
		switch one.Result.Type {
		case "succeeded":
			a.Response, a.Err = c.response(&one.Result.Message)
		case "errored":
			e := &llm.Error{Kind: llm.KindServer}
			e.Message, e.Code, _, _ = llm.ServerError(gjson.Parse(one.Result.Error.RawJSON()))
			if e.Code == "invalid_request_error" {
				e.Kind = llm.KindInvalid
			}
			a.Err = c.scrub(e)
		default: // canceled, expired: the batch did not get to it
			continue
		}
		if err := each(a); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return c.fail(ctx, err)
	}
	return nil
}
