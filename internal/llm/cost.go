package llm

import (
	"encoding/json"
	"errors"
)

// Charge is what calls cost, or may cost at worst.
type Charge struct {
	Requests int     `json:"requests,omitempty"`
	Tokens   int     `json:"tokens,omitempty"` // prompt and answer
	USD      float64 `json:"usd,omitempty"`
}

func (c Charge) plus(d Charge, sign int) Charge {
	return Charge{c.Requests + sign*d.Requests, c.Tokens + sign*d.Tokens, c.USD + float64(sign)*d.USD}
}

// Price is what a provider charges, in US dollars per million tokens. Some charge more for
// long prompts: beyond LongAbove prompt tokens the two Long prices hold for the whole call.
type Price struct {
	Input      float64 `json:"input"`
	Output     float64 `json:"output"`
	LongAbove  int     `json:"long_above,omitempty"` // 0: one price for all prompts
	LongInput  float64 `json:"long_input,omitempty"`
	LongOutput float64 `json:"long_output,omitempty"`
	Batch      float64 `json:"batch,omitempty"` // factor for requests in batches; 0: no discount is known

	// Factors on the price of prompt tokens that go into the provider's cache and that come
	// from there; 0: as others.
	CacheWrite float64 `json:"cache_write,omitempty"`
	CacheRead  float64 `json:"cache_read,omitempty"`
}

// InBatch is the price of requests in batches.
func (p *Price) InBatch() *Price {
	if p == nil || p.Batch <= 0 {
		return p
	}
	q := *p
	q.Input, q.Output, q.LongInput, q.LongOutput, q.Batch = p.Input*p.Batch, p.Output*p.Batch, p.LongInput*p.Batch, p.LongOutput*p.Batch, 0
	return &q
}

func (p *Price) usd(u Usage) float64 {
	if p == nil {
		return 0
	}
	in, out := p.Input, p.Output
	if p.LongAbove > 0 && u.PromptTokens > p.LongAbove {
		in, out = p.LongInput, p.LongOutput
	}
	prompt := float64(u.PromptTokens)
	if p.CacheWrite > 0 {
		prompt += (p.CacheWrite - 1) * float64(u.CacheWriteTokens)
	}
	if p.CacheRead > 0 {
		prompt += (p.CacheRead - 1) * float64(u.CacheReadTokens)
	}
	return (prompt*in + float64(u.CompletionTokens)*out) / 1e6
}

// worstCase bounds the cost of one attempt. No byte-level tokenizer makes more tokens than
// there are bytes; 16 a message covers the chat template.
func worstCase(req Request, price *Price) Charge {
	prompt, answer := req.sentBytes()+16*len(req.Messages), req.mostAnswer()
	return Charge{Requests: 1, Tokens: prompt + answer, USD: price.usd(Usage{PromptTokens: prompt, CompletionTokens: answer, CacheWriteTokens: prompt})}
}

// sentBytes is the size of all that a provider may count as the prompt: the messages, the
// schema of the answer, and further fields such as tools.
func (r Request) sentBytes() int {
	n := r.PromptBytes()
	if r.JSON != nil {
		n += len(r.JSON.Name) + len(r.JSON.Schema)
	}
	if len(r.Extra) > 0 {
		b, _ := json.Marshal(r.Extra) // what has no JSON form has no RequestKey and is never sent
		n += len(b)
	}
	return n
}

// mostAnswer bounds the tokens of all answers to a request, thoughts included. Further fields may ask for
// several answers, or set a limit of their own.
func (r Request) mostAnswer() int {
	limit, answers := max(r.MaxTokens, r.Thinking.Budget()), 1
	gemini, _ := r.Extra["generationConfig"].(map[string]any)
	for _, fields := range []map[string]any{r.Extra, gemini} {
		for name, v := range fields {
			n := 0
			switch v := v.(type) {
			case int:
				n = v
			case int64:
				n = int(v)
			case float64:
				n = int(v)
			}
			switch name {
			case "max_tokens", "max_completion_tokens", "maxOutputTokens":
				limit = max(limit, n)
			case "n", "best_of", "candidateCount":
				answers = max(answers, n)
			}
		}
	}
	return limit * answers
}

// actual is what an attempt cost. One that may have been billed though its answer was lost
// (a timeout, a cut connection, an unreadable body) counts with its worst case.
func actual(worst Charge, price *Price, resp *Response, err error) Charge {
	switch u := usageOf(resp, err); {
	case u != (Usage{}):
		return Charge{Requests: 1, Tokens: u.PromptTokens + u.CompletionTokens, USD: price.usd(u)}
	case err == nil, mayBeBilled(err):
		return worst
	}
	return Charge{Requests: 1}
}

// usageOf is what the provider counted of an attempt, an answer or a generation that failed.
func usageOf(resp *Response, err error) Usage {
	var e *Error
	switch {
	case err == nil:
		return resp.Usage
	case errors.As(err, &e):
		return e.Usage.possible()
	}
	return Usage{}
}
