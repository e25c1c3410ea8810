package providers

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// aimockRequests lists what askAll would ask.
func aimockRequests(n int) iter.Seq2[llm.Request, error] {
	return func(yield func(llm.Request, error) bool) {
		for i := range n {
			if !yield(llm.Request{MaxTokens: 10, Messages: []llm.Message{{Role: llm.RoleUser, Content: fmt.Sprintf("question %d!", i)}}}, nil) {
				return
			}
		}
	}
}

// Against aimock's files and batches, well and in trouble: every request of every batch is
// answered, no prompt goes out by itself, and a second run submits nothing. The server
// answers a batch with the same words for all requests.
func TestAimockBatches(t *testing.T) {
	for name, chaos := range map[string]map[string]float64{
		"well":        nil,
		"drops":       {"dropRate": 0.3},
		"malformed":   {"malformedRate": 0.2},
		"disconnects": {"disconnectRate": 0.2},
		"rate":        {"rateLimitRate": 0.05},
		"everything":  {"dropRate": 0.1, "malformedRate": 0.1, "disconnectRate": 0.1, "latencyMs": 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAimock(t)
			if chaos != nil {
				a.chaos(chaos)
			}
			s := Settings{Links: []Fallback{{Model: "openai/gpt-4o", BaseURL: a.url + "/v1", Concurrency: 8}}, MaxRetries: 60, Mode: ModeBatch,
				Batches: llm.BatchOptions{MinPoll: 2 * time.Millisecond, MaxPoll: 10 * time.Millisecond, MaxRequests: 25}}
			memo := &llmtest.Memo{}
			run := func() *Caller {
				c, err := New(t.Context(), s, Services{Getenv: withKey, Memo: memo, Scope: "s"})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Fetch(t.Context(), aimockRequests(aimockPrompts)); err != nil {
					t.Fatal(err)
				}
				for req := range aimockRequests(aimockPrompts) {
					if r, err := c.Complete(t.Context(), req); err != nil || r.Text != "Mock batch completion" {
						t.Fatalf("%+v %v", r, err)
					}
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				return c
			}
			c := run()
			if st := c.Stats(); st.Calls != aimockPrompts || st.MemoHits != 0 || c.Figures()["batches"] != 3 {
				t.Errorf("%+v, %v", st, c.Figures())
			}
			if n := a.served("/v1/chat/completions"); n != 0 {
				t.Errorf("%d single calls", n)
			}
			sum := c.ledger.Totals()
			if sum.Settled.Requests != aimockPrompts || sum.Answers != aimockPrompts || sum.Held.Requests != 0 {
				t.Errorf("ledger %+v", sum)
			}
			before := a.served("/v1/")
			if st := run().Stats(); st.MemoHits != aimockPrompts || a.served("/v1/") != before {
				t.Errorf("the second run: %+v, %d requests", st, a.served("/v1/")-before)
			}
		})
	}
}
