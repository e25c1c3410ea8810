package openai

import (
	"bufio"
	"cmp"
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

// maxChecked bounds the bytes that are read, again and again, to see where one event ends.
const maxChecked = llm.MaxAnswer + 1<<20

// gather reads server-sent events and returns the answer as the server would have sent it
// without streaming. Long answers through proxies need the stream: silent connections are
// cut. A stream without finish_reason was cut; some servers send no [DONE]. An error that
// the server sent inside a stream that had begun well is an [llm.Error].
func gather(r io.Reader) ([]byte, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), llm.MaxAnswer)
	var content, thoughts, refusal strings.Builder
	var model, finish, id string
	var usage, logprobs json.RawMessage
	size, checked := 0, 0
	var part []byte // of an event's JSON that goes on in the next data line
	for lines.Scan() {
		line := lines.Text()
		if line == "" && part != nil {
			return nil, errCut // the event ended
		}
		data, ok := strings.CutPrefix(line, "data:")
		if data = strings.TrimSpace(data); !ok || data == "" {
			continue // other fields and comments, with which servers keep the line alive
		}
		if data == "[DONE]" {
			break
		}
		if size += len(data); size > llm.MaxAnswer {
			return nil, fmt.Errorf("the answer is longer than %d bytes", llm.MaxAnswer)
		}
		part = append(append(part, data...), '\n')
		if data[len(data)-1] != '}' {
			continue
		}
		// Each line may be the last of an event, and a check reads them all.
		if checked += len(part); checked > maxChecked {
			return nil, errors.New("an event of the stream goes on and on")
		}
		body, ok := llm.ValidJSON(part)
		if !ok {
			continue
		}
		event := gjson.ParseBytes(body)
		part, checked = nil, 0
		choice := event.Get("choices.0")
		for _, at := range []gjson.Result{choice, event} {
			if llm.HasError(at) {
				return nil, sentError(at)
			}
		}
		if m := event.Get("model").String(); m != "" {
			model, id = m, event.Get("id").String()
		}
		if u := event.Get("usage"); u.IsObject() {
			usage = json.RawMessage(u.Raw)
		}
		delta := choice.Get("delta")
		say, think := text(delta.Get("content"))
		content.WriteString(say)
		thoughts.WriteString(cmp.Or(reasoning(delta), think))
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
	if finish == "" || part != nil {
		return nil, errCut
	}
	msg := map[string]any{"role": "assistant", "content": content.String()}
	if thoughts.Len() > 0 {
		msg["reasoning_content"] = thoughts.String()
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
