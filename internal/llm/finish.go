package llm

import (
	"fmt"
	"strings"
)

// Class says what a finish reason means for an answer.
type Class uint8

// The classes of finish reasons.
const (
	Finished Class = iota + 1 // the model ended its answer
	Cut                       // the answer is a part
	Refused                   // the provider withheld the answer or the model refused it
	Tool                      // the model called a tool in place of an answer
	Failed                    // the provider broke off: there is no answer, and another attempt may give one
)

// Finish reasons that a Response carries, one a class. What a server sent is put into these
// words; a reason that is in no table passes through unchanged and counts as cut. Failed
// generations have no Response.
const (
	FinishStop    = "stop"
	FinishLength  = "length"
	FinishRefusal = "content_filter"
	FinishTool    = "tool_calls"
)

// finishReasons lists what servers send, in lower case: OpenAI, Azure, Anthropic, Gemini,
// vLLM, SGLang, llama.cpp, Ollama, TGI, DeepSeek, z.AI, Mistral, Groq, OpenRouter and
// servers like them. docs/providers.md has the same table by server.
var finishReasons = func() map[string]Class {
	m := map[string]Class{}
	for c, words := range map[Class]string{
		Finished: "stop eos eos_token end_turn stop_sequence stop_token word complete completed unspecified",
		Cut: `length max_tokens max_output_tokens model_length token_limit limit time_limit pause_turn repetition
			not_finished incomplete model_context_window_exceeded context_length_exceeded other`,
		Refused: `content_filter content_filtered refusal refused safety recitation blocklist prohibited_content spii
			language sensitive blocked guardrail_intervened image_safety image_prohibited_content image_recitation`,
		Tool: `tool_calls tool_call tool_use function_call malformed_function_call unexpected_tool_call
			too_many_tool_calls missing_thought_signature`,
		Failed: `error abort aborted cancelled canceled network_error server_error internal_error engine_error timeout
			insufficient_system_resource malformed_response load unload`,
	} {
		for w := range strings.FieldsSeq(words) {
			m[w] = c
		}
	}
	return m
}()

// ClassOf gives the class of a finish reason, in any server's words. A reason that no
// server is known to send is Cut; one that is missing is Finished, as some servers send none.
func ClassOf(reason string) Class {
	c, _ := classOf(reason)
	return c
}

func classOf(reason string) (c Class, known bool) {
	word := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(reason)), "finish_reason_")
	if word == "" {
		return Finished, true
	}
	if c, ok := finishReasons[word]; ok {
		return c, true
	}
	return Cut, false
}

// settleFinish puts an answer's finish reason into our words and drops an impossible count
// of its tokens. known is false for a reason that stays as it is; a failed generation is an
// error.
func settleFinish(r *Response) (known bool, err error) {
	r.Usage = r.Usage.possible()
	c, known := classOf(r.FinishReason)
	switch {
	case !known:
	case c == Finished:
		r.FinishReason = FinishStop
	case c == Cut:
		r.FinishReason = FinishLength
	case c == Refused:
		r.FinishReason = FinishRefusal
	case c == Tool:
		r.FinishReason = FinishTool
	default:
		return true, &Error{Kind: KindServer, Status: 200, Usage: r.Usage,
			Message: fmt.Sprintf("the generation failed (finish_reason %s)", r.FinishReason)}
	}
	return known, nil
}

// finished puts the finish reason of a new answer into our words, and tells once of one that
// is in no table.
func (t *Transport) finished(r *Response) error {
	known, err := settleFinish(r)
	if err != nil {
		e := err.(*Error)
		e.Provider = t.p.Name
		return e
	}
	if _, told := t.oddReasons.LoadOrStore(r.FinishReason, true); !known && !told {
		t.o.Notify(fmt.Sprintf("%s sends finish_reason %q, which is not known here: these answers count as cut off", t.p.Name, Clip(r.FinishReason, 100)))
	}
	return nil
}
