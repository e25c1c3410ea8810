package openai

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
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
	body, err := c.body(req, false)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID     string          `json:"custom_id"`
		Method string          `json:"method"`
		URL    string          `json:"url"`
		Body   json.RawMessage `json:"body"`
	}{id, http.MethodPost, batchURL, body})
}

// batchURL is what the requests of a batch are sent to.
const batchURL = "/v1/chat/completions"

// SubmitBatch implements llm.BatchClient: it uploads a file and creates a batch of it. Only
// the second step costs anything.
func (c *Client) SubmitBatch(ctx context.Context, name, _ string, elements [][]byte) (string, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	err := w.WriteField("purpose", "batch")
	part, perr := w.CreateFormFile("file", name+".jsonl")
	if err = errors.Join(err, perr); err == nil {
		for _, e := range elements {
			_, werr := part.Write(e)
			_, lerr := io.WriteString(part, "\n")
			err = errors.Join(err, werr, lerr)
		}
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	file, err := c.callJSON(ctx, http.MethodPost, "/files", w.FormDataContentType(), form.Bytes())
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"input_file_id": file.Get("id").String(), "endpoint": batchURL,
		"completion_window": "24h", "metadata": map[string]string{batchName: name}})
	if err != nil {
		return "", err
	}
	b, err := c.callJSON(ctx, http.MethodPost, "/batches", "application/json", body)
	if err != nil {
		return "", err
	}
	id := b.Get("id").String()
	if id == "" {
		return "", &llm.Error{Kind: llm.KindMalformed, Message: "the answer does not name a batch"}
	}
	return id, nil
}

// FindBatch implements llm.BatchClient. The list begins with the newest batch.
func (c *Client) FindBatch(ctx context.Context, name string, since time.Time) (string, bool, error) {
	after := ""
	for pages := 0; ; pages++ {
		if pages == llm.MaxPages {
			return "", false, llm.ErrPages
		}
		page, err := c.callJSON(ctx, http.MethodGet, "/batches?limit=100"+after, "", nil)
		if err != nil {
			return "", false, err
		}
		data := page.Get("data").Array()
		for _, b := range data {
			if b.Get("metadata."+batchName).String() == name {
				return b.Get("id").String(), true, nil
			}
			if at := b.Get("created_at").Int(); at > 0 && at < since.Unix() {
				return "", false, nil
			}
		}
		if !page.Get("has_more").Bool() || len(data) == 0 {
			return "", false, nil
		}
		after = "&after=" + url.QueryEscape(data[len(data)-1].Get("id").String())
	}
}

// BatchState implements llm.BatchClient.
func (c *Client) BatchState(ctx context.Context, id string) (llm.BatchState, error) {
	b, err := c.callJSON(ctx, http.MethodGet, "/batches/"+url.PathEscape(id), "", nil)
	if err != nil {
		return llm.BatchState{}, err
	}
	n := b.Get("request_counts")
	s := llm.BatchState{Status: b.Get("status").String(), Total: int(n.Get("total").Int()), Done: int(n.Get("completed").Int()), Failed: int(n.Get("failed").Int())}
	switch s.Status {
	case "completed", "failed", "expired", "cancelled":
		s.Ended = true
	}
	for _, e := range b.Get("errors.data").Array() {
		s.Message = cmp.Or(s.Message, llm.Scrub(e.Get("message").String(), c.key))
		s.Full = s.Full || e.Get("code").String() == "token_limit_exceeded"
	}
	return s, nil
}

// CancelBatch implements llm.BatchClient.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	_, err := c.callJSON(ctx, http.MethodPost, "/batches/"+url.PathEscape(id)+"/cancel", "", nil)
	return err
}

// BatchAnswers implements llm.BatchClient. Answers and errors lie in a file each; a batch that
// ended early has those it got to.
func (c *Client) BatchAnswers(ctx context.Context, id string, each func(llm.BatchAnswer) error) error {
	b, err := c.callJSON(ctx, http.MethodGet, "/batches/"+url.PathEscape(id), "", nil)
	if err != nil {
		return err
	}
	for _, field := range []string{"output_file_id", "error_file_id"} {
		if file := b.Get(field).String(); file != "" {
			if err := c.answers(ctx, file, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Client) answers(ctx context.Context, file string, each func(llm.BatchAnswer) error) error {
	path := "/files/" + url.PathEscape(file) + "/content"
	res, a, err := c.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if a.Status >= 400 {
		return c.fail(ctx, a.ReadBody(res), a)
	}
	lines := bufio.NewScanner(res.Body) // the file may be large
	lines.Buffer(make([]byte, 64<<10), llm.MaxAnswer)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		line, ok := llm.ValidJSON(lines.Bytes())
		if !ok {
			// Half a line is a cut connection; anything else is read again as well.
			return &llm.Error{Kind: llm.KindMalformed, Message: "a line of the batch's answers is not JSON"}
		}
		if err := each(c.answer(ctx, gjson.ParseBytes(line))); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, bufio.ErrTooLong):
		return &llm.Error{Kind: llm.KindMalformed, Message: fmt.Sprintf("a line of the batch's answers is longer than %d bytes", llm.MaxAnswer)}
	default:
		return &llm.Error{Kind: llm.KindNetwork, Message: "reading the batch's answers: " + llm.Scrub(err.Error(), c.key)}
	}
}

// answer reads one line: a response with a status, or an error of the batch itself.
func (c *Client) answer(ctx context.Context, line gjson.Result) llm.BatchAnswer {
	a := llm.BatchAnswer{ID: line.Get("custom_id").String()}
	body, status := line.Get("response.body"), int(line.Get("response.status_code").Int())
	if !body.IsObject() || status >= 400 {
		e := &llm.Error{Kind: llm.KindOfStatus(status), Status: status}
		var ok bool
		if e.Message, e.Code, _, ok = llm.ServerError(line); !ok {
			e.Message, e.Code, _, _ = llm.ServerError(body)
		}
		e.Message = llm.Clip(e.Message, 500)
		a.Err = c.scrub(e)
		return a
	}
	a.Response, a.Err = c.parse(ctx, &llm.RawAnswer{Status: http.StatusOK, Body: []byte(body.Raw)})
	return a
}

// callJSON makes one request whose answer is JSON.
func (c *Client) callJSON(ctx context.Context, method, path, kind string, body []byte) (gjson.Result, error) {
	a, err := c.call(ctx, method, path, kind, body)
	if err != nil {
		return gjson.Result{}, err
	}
	if !jsoncheck.Valid(a.Body) {
		return gjson.Result{}, c.fail(ctx, errors.New("the answer is not JSON"), a)
	}
	return gjson.ParseBytes(a.Body), nil
}
