package prompt

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

func estimate(t *testing.T, cfg map[string]any, input string, rows float64, memo stage.Memo) stage.Estimate {
	t.Helper()
	c, errs := BatchLLM.Decode(cfg)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	e, err := c.Estimate(context.Background(), stage.Question{
		Inputs: map[string][]stage.Expected{"prompts": {{Path: input, Rows: stage.Exactly(rows)}}}, Memo: memo,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEstimateLooksEveryRequestUp needs no API key and calls no server.
func TestEstimateLooksEveryRequestUp(t *testing.T) {
	te := newTeacher(t, echo)
	memo := &llmtest.Memo{}
	three, five := writePrompts(t, 3), writePrompts(t, 5)
	cfg := config(te, map[string]any{"max_tokens": 100, "price_input": 1.0, "price_output": 2.0})
	check := func(name string, e stage.Estimate, hits, requests float64) {
		t.Helper()
		if d := cmp.Diff([]*stage.Range{stage.Exactly(hits), stage.Exactly(requests)}, []*stage.Range{e.MemoHits, e.Requests}); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	fresh := estimate(t, cfg, three, 3, memo)
	check("nothing bought", fresh, 0, 6)
	if te.calls() != 0 {
		t.Errorf("the estimate made %d calls", te.calls())
	}
	o := runBatch(t, t.Context(), cfg, three, memo)
	if o.err != nil {
		t.Fatal(o.err)
	}
	used := o.res.Stats["prompt_tokens"] + o.res.Stats["completion_tokens"]
	if fresh.Tokens.Min > used || fresh.Tokens.Max < used || fresh.USD.Min <= 0 || fresh.USD.Max < fresh.USD.Min {
		t.Errorf("%v tokens used, expected %v for %v USD", used, *fresh.Tokens, *fresh.USD)
	}
	check("all bought", estimate(t, cfg, three, 3, memo), 6, 0)
	check("some bought", estimate(t, cfg, five, 5, memo), 6, 4)
	cfg["replicates"] = 2
	check("one replicate bought", estimate(t, cfg, three, 3, memo), 6, 6)
	cfg["replicates"] = 1
	cfg["refresh"] = true
	check("all anew", estimate(t, cfg, three, 3, memo), 0, 6)
	cfg["refresh"] = false
	cfg["retry_on"] = []any{"length"}
	if e := estimate(t, cfg, five, 5, memo); e.Requests.Min != 4 || e.Requests.Max != 8 {
		t.Errorf("with a second try: %v", *e.Requests)
	}
}

func TestEstimateOfWhatCannotBeTold(t *testing.T) {
	input := writePrompts(t, 2)
	e := estimate(t, map[string]any{"model": "openai/nobody-knows-this", "max_tokens": 0}, input, 2, nil)
	if e.Requests == nil || *e.Requests != *stage.Exactly(4) || e.Tokens != nil || e.USD != nil {
		t.Errorf("no limit, no price: %+v", e)
	}
	e = estimate(t, map[string]any{"model": "openai/nobody-knows-this", "max_tokens": 10}, input, 2, nil)
	if e.Tokens == nil || e.USD != nil {
		t.Errorf("no price: %+v", e)
	}
	e = estimate(t, map[string]any{}, input, 2, nil)
	if *e.Requests != *stage.Exactly(0) || *e.USD != *stage.Exactly(0) {
		t.Errorf("simulated: %+v", e)
	}
	e = estimate(t, map[string]any{}, "", 2, nil)
	if e.Requests != nil || *e.Rows["replies"] != *stage.Exactly(2) {
		t.Errorf("no rows yet: %+v", e)
	}
}

// The time is bounded by the limits a minute and the calls at a time.
func TestEstimateOfSeconds(t *testing.T) {
	input := writePrompts(t, 60) // 120 requests
	for _, tc := range []struct {
		more map[string]any
		want *stage.Range
	}{
		{nil, nil},
		{map[string]any{"rpm": 6000}, &stage.Range{Min: 5, Max: 900}}, // 8 at a time
		{map[string]any{"rpm": 60}, &stage.Range{Min: 120, Max: 900}},
		{map[string]any{"rpm": 2, "concurrency": 100}, &stage.Range{Min: 3600, Max: 3600}},
		{map[string]any{"mode": "batch"}, &stage.Range{Max: 86400}},
		{map[string]any{"mode": "auto", "batch_min": 121}, nil},
		{map[string]any{"mode": "auto", "batch_min": 120}, &stage.Range{Max: 86400}},
		{map[string]any{"model": "simulated"}, nil},
	} {
		cfg := map[string]any{"model": "openai/gpt-4o-mini", "max_tokens": 100}
		for k, v := range tc.more {
			cfg[k] = v
		}
		e := estimate(t, cfg, input, 60, nil)
		if d := cmp.Diff(tc.want, e.Seconds); d != "" {
			t.Errorf("%v: %s", tc.more, d)
		}
	}
	calls := estimate(t, map[string]any{"model": "openai/gpt-4o-mini", "max_tokens": 100}, input, 60, nil)
	half := estimate(t, map[string]any{"model": "openai/gpt-4o-mini", "max_tokens": 100, "mode": "batch"}, input, 60, nil)
	if calls.USD == nil || half.USD == nil || half.USD.Max != calls.USD.Max/2 || half.USD.Min != calls.USD.Min/2 {
		t.Errorf("dollars of calls %v, of batches %v", calls.USD, half.USD)
	}
}
