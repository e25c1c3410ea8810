package view

import "testing"

func TestCalls(t *testing.T) {
	for want, m := range map[string]map[string]float64{
		"0 calls": {"calls": 0},
		"120 calls (8 in flight, 10.2/s), 5 from the memo, 31000 tokens, $0.12 of about $1.30, 3 retries, errors: rate 2, server 1, 1 failed": {
			"calls": 120, "in_flight": 8, "rate": 10.2, "memo_hits": 5, "tokens": 31000, "usd": 0.12, "usd_projected": 1.3,
			"retries": 3, "errors_rate": 2, "errors_server": 1, "failed": 1, "eta_s": 9, "concurrency": 8},
		"40 calls (2.0/s), 3 batches, 600 tokens, $0.0008, 1 empty, 2 truncated, 3 refused": {
			"calls": 40, "calls_per_second": 2, "batches": 3, "prompt_tokens": 400, "completion_tokens": 200, "usd": 0.0008,
			"empty": 1, "truncated": 2, "refused": 3, "finish_stop": 40, "requests": 40},
	} {
		if got := Values(m); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := Values(map[string]float64{"loss": 1.5, "acc": 0.25}); got != "loss 1.5, acc 0.25" {
		t.Errorf("other stages: %s", got)
	}
}
