package llm

import (
	"maps"
	"sync"
	"time"
)

// Stats counts what a Transport did. It is a snapshot.
type Stats struct {
	Requests         int            `json:"requests"`       // Complete calls that ended
	Calls            int            `json:"calls"`          // attempts sent to the provider
	MemoHits         int            `json:"memo_hits"`      // answered from the memo
	Shared           int            `json:"shared"`         // answered by another caller's call in flight
	Retries          int            `json:"retries"`        // attempts after the first
	Failed           int            `json:"failed"`         // Complete calls that ended in an error
	Errors           map[Kind]int   `json:"errors"`         // failed attempts by kind
	Finish           map[string]int `json:"finish_reasons"` // answers by finish reason
	Empty            int            `json:"empty"`          // answers without text
	PromptTokens     int            `json:"prompt_tokens"`  // of bought answers
	CompletionTokens int            `json:"completion_tokens"`
	ReasoningTokens  int            `json:"reasoning_tokens"`      // of CompletionTokens
	USD              float64        `json:"usd"`                   // of bought answers; 0 when the price is unknown
	InFlight         int            `json:"in_flight"`             // calls now at the provider
	Concurrency      int            `json:"concurrency"`           // the bound in force now
	PausedUntil      time.Time      `json:"paused_until,omitzero"` // the provider is down and left alone until then
	Example          string         `json:"-"`                     // the last failed attempt of all Errors
}

type counters struct {
	mu sync.Mutex
	s  Stats
}

func (c *counters) add(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Errors == nil {
		c.s.Errors, c.s.Finish = map[Kind]int{}, map[string]int{}
	}
	f(&c.s)
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Errors, s.Finish = maps.Clone(c.s.Errors), maps.Clone(c.s.Finish)
	return s
}

// Figures is the snapshot as named numbers for a run's record, without zeros. Failed
// attempts are named errors_KIND and finish reasons finish_REASON.
func (s Stats) Figures() map[string]float64 {
	all := map[string]float64{
		"requests": float64(s.Requests), "calls": float64(s.Calls), "memo_hits": float64(s.MemoHits),
		"shared": float64(s.Shared), "retries": float64(s.Retries), "failed": float64(s.Failed),
		"empty": float64(s.Empty), "prompt_tokens": float64(s.PromptTokens),
		"completion_tokens": float64(s.CompletionTokens), "reasoning_tokens": float64(s.ReasoningTokens), "usd": s.USD,
		"truncated": float64(s.Finish[FinishLength]), "refused": float64(s.Finish[FinishRefusal]),
	}
	for k, n := range s.Errors {
		all["errors_"+string(k)] = float64(n)
	}
	for r, n := range s.Finish {
		all["finish_"+r] = float64(n)
	}
	for k, v := range all {
		if v == 0 {
			delete(all, k)
		}
	}
	return all
}

// Plus adds the counters of two Transports.
func (s Stats) Plus(o Stats) Stats {
	s.Requests += o.Requests
	s.Calls += o.Calls
	s.MemoHits += o.MemoHits
	s.Shared += o.Shared
	s.Retries += o.Retries
	s.Failed += o.Failed
	s.Empty += o.Empty
	s.PromptTokens += o.PromptTokens
	s.CompletionTokens += o.CompletionTokens
	s.ReasoningTokens += o.ReasoningTokens
	s.USD += o.USD
	s.InFlight += o.InFlight
	s.Concurrency += o.Concurrency
	errs, finish := maps.Clone(s.Errors), maps.Clone(s.Finish)
	if errs == nil {
		errs = map[Kind]int{}
	}
	if finish == nil {
		finish = map[string]int{}
	}
	for k, n := range o.Errors {
		errs[k] += n
	}
	for k, n := range o.Finish {
		finish[k] += n
	}
	s.Errors, s.Finish = errs, finish
	if s.Example == "" {
		s.Example = o.Example
	}
	if o.PausedUntil.After(s.PausedUntil) {
		s.PausedUntil = o.PausedUntil
	}
	return s
}
