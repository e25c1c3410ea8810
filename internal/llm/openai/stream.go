package openai

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

// errCut is a stream that ended before its answer did.
var errCut = errors.New("the stream ended before the answer was complete")

// streamError is an error that the server sent inside a stream that had begun well.
type streamError struct {
	status  int // what the server would have answered, 500 if it does not say
	message string
}

func (e *streamError) Error() string { return e.message }

// gather reads server-sent events and returns the answer as the server would have sent it
// without streaming. Long answers through proxies need the stream: silent connections are
// cut. A stream without finish_reason was cut; some servers send no [DONE].
func gather(r io.Reader) ([]byte, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), llm.MaxAnswer)
	var content, reasoning, refusal strings.Builder
	var model, finish, id string
	var usage, logprobs json.RawMessage
	done, size := false, 0
	for !done && lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if data = strings.TrimSpace(data); !ok || data == "" {
			continue // other fields and comments, with which servers keep the line alive
		}
		if data == "[DONE]" {
			done = true
			break
		}
		if size += len(data); size > llm.MaxAnswer {
			return nil, fmt.Errorf("the answer is longer than %d bytes", llm.MaxAnswer)
		}
		if !gjson.Valid(data) {
			return nil, errCut
		}
		event := gjson.Parse(data)
		if e := event.Get("error"); e.Exists() && e.Type != gjson.Null {
			status := int(e.Get("code").Int())
			if status < 400 || status > 599 {
				status = 500
			}
			msg := e.Get("message").String()
			if msg == "" {
				msg = e.String()
			}
			return nil, &streamError{status, msg}
		}
		if m := event.Get("model").String(); m != "" {
			model, id = m, event.Get("id").String()
		}
		if u := event.Get("usage"); u.IsObject() {
			usage = json.RawMessage(u.Raw)
		}
		choice := event.Get("choices.0")
		delta := choice.Get("delta")
		content.WriteString(text(delta.Get("content")))
		reasoning.WriteString(delta.Get("reasoning_content").String() + delta.Get("reasoning").String())
		refusal.WriteString(delta.Get("refusal").String())
		if f := choice.Get("finish_reason").String(); f != "" {
			finish = f
		}
		if lp := choice.Get("logprobs.content"); lp.IsArray() {
			logprobs = join(logprobs, lp.Raw)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errCut, err)
	}
	if finish == "" {
		return nil, errCut
	}
	msg := map[string]any{"role": "assistant", "content": content.String()}
	if reasoning.Len() > 0 {
		msg["reasoning_content"] = reasoning.String()
	}
	if refusal.Len() > 0 {
		msg["refusal"] = refusal.String()
	}
	choice := map[string]any{"index": 0, "message": msg, "finish_reason": finish}
	if logprobs != nil {
		choice["logprobs"] = map[string]any{"content": logprobs}
	}
	body := map[string]any{"id": id, "object": "chat.completion", "model": model, "choices": []any{choice}}
	if usage != nil {
		body["usage"] = usage
	}
	return json.Marshal(body)
}

// join puts two JSON lists together.
func join(a json.RawMessage, b string) json.RawMessage {
	switch {
	case len(a) <= 2:
		return json.RawMessage(b)
	case len(b) <= 2:
		return a
	}
	return json.RawMessage(string(a[:len(a)-1]) + "," + b[1:])
}
