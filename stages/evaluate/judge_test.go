package evaluate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
	"github.com/distillflow/distillflow/schema"
)

func TestJudgeGolden(t *testing.T) { stagetest.Golden(t, Judge) }

func TestParseVerdict(t *testing.T) {
	for reply, want := range map[string]verdict{
		`{"reason": "All steps hold.", "verdict": "valid"}`:                     {sideValid, "All steps hold."},
		`{"verdict":"invalid","reason":"Step 2 is\n false."}`:                   {sideInvalid, "Step 2 is false."},
		"```json\n{\"verdict\": \"Invalid\", \"reason\": \"x\"}\n```":           {sideInvalid, "x"},
		"Let me check. {1, 2} is a set.\n{\"verdict\": true}":                   {sideValid, ""},
		`{"verdict": false, "reason": 7}`:                                       {sideInvalid, "7"},
		`{"result": {"verdict": "valid", "reason": "a } b"}}`:                   {sideValid, "a } b"},
		`First {"verdict":"valid"} but then {"verdict":"invalid","reason":"y"}`: {sideInvalid, "y"},
		`{"verdict": "invalid", "reason": "It broke of`:                         {sideInvalid, ""},
		`{"reason": "so { open", "verdict": "valid"}`:                           {sideValid, "so { open"},
		`{"reason": "he said \"valid\"", "verdict": "unsound"}`:                 {sideInvalid, `he said "valid"`},
		"valid":                               {sideValid, ""},
		" **Invalid**. ":                      {sideInvalid, ""},
		"Not valid.":                          {sideInvalid, ""},
		"The steps hold.\n**Verdict:** valid": {sideValid, ""},
		"Verdict: valid\nNo wait.\nVerdict: invalid":   {sideInvalid, ""},
		"I cannot say whether it is valid or invalid.": {},
		"invalid or valid":                             {},
		`{"verdict": "maybe"}`:                         {},
		`{"verdict": ""}`:                              {},
		"":                                             {},
		"{}":                                           {},
		// A judge's own thoughts are no verdict.
		"<think>{\"verdict\": \"invalid\"}? No.</think>{\"verdict\": \"valid\"}": {sideValid, ""},
		"Is it {\"verdict\": \"valid\"}?\n</think>\nVerdict: invalid":            {sideInvalid, ""},
		"<think>\n{\"verdict\": \"valid\", \"reason\": \"x\"}":                   {},
		"<think>valid</think>":                      {},
		"{\"verdict\": \"valid\"}\n<think>Or is it": {},
	} {
		if got := parseVerdict(reply); got != want {
			t.Errorf("%q: %+v, want %+v", reply, got, want)
		}
	}
}

func FuzzParseVerdict(f *testing.F) {
	for _, s := range []string{`{"verdict":"valid"}`, `{"verdict`, `"verdict": "invalid`, "Verdict: valid", strings.Repeat("{", 300), `{"a":"{\"verdict\":\"valid\"}"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := parseVerdict(s)
		if v.side < sideUnclear || v.side > sideInvalid || len(v.reason) > maxReason+3 || strings.ContainsAny(v.reason, "\n\r") {
			t.Errorf("%q: %+v", s, v)
		}
		// What a judge says in the asked form is read back, whatever its reason holds.
		for word, side := range map[string]side{"valid": sideValid, "invalid": sideInvalid} {
			b, err := json.Marshal(map[string]string{"reason": s, "verdict": word})
			if err != nil {
				t.Fatal(err)
			}
			if len(b) < 8<<10 {
				if got := parseVerdict("Here: " + string(b) + "."); got.side != side {
					t.Errorf("%s: %+v", b, got)
				}
			}
		}
	})
}

func TestJudgePromptShowsEverything(t *testing.T) {
	row := schema.Problem{Question: "Q?", Premise: "PREM", Hypothesis: "HYP", Table: "T|1", GoldAnswer: "GOLD",
		Choices: []schema.Choice{{Label: "A", Text: "one"}, {Label: "B", Text: "two"}}}
	p := schema.Path{Response: "REASONING", Pred: "PRED"}
	got := judgePrompt("", row, p, p.Response)
	for _, want := range []string{"Q?", "PREM", "HYP", "T|1", "A) one\nB) two", "REASONING", "Answer:\nPRED", `"verdict"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "GOLD") {
		t.Error("the gold answer stands in the prompt though the path has its own")
	}
	if own := judgePrompt("Check units only.", row, p, p.Response); !strings.HasPrefix(own, "Check units only.\n\nTable:") {
		t.Errorf("own instructions gave %q", own)
	}
}

// What a path's teacher thought is shown where it is asked for, and a response that still
// holds it inline counts as one that has it apart.
func TestJudgeShow(t *testing.T) {
	yes := true
	row := schema.Problem{ID: "r", Task: "gsm8k", Question: "q", GoldAnswer: "1", Paths: []schema.Path{
		{Style: "apart", Reasoning: "THOUGHT", Response: "SAID", FinishReason: "stop", Pred: "1", Correct: &yes},
		{Style: "inline", Response: "<think>\nTHOUGHT\n</think>\n\nSAID", FinishReason: "stop", Pred: "1", Correct: &yes},
	}}
	b, err := row.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for show, thought := range map[string]bool{"": false, "response": false, "both": true} {
		var calls atomic.Int64
		var prompt string
		url := judgeServer(t, &calls, func(p string, _ int64) (int, string) {
			prompt = p
			return 200, `{"verdict":"valid"}`
		})
		cfg := map[string]any{"model": "openai/m", "base_url": url, "max_retries": 0, "concurrency": 1}
		if show != "" {
			cfg["show"] = show
		}
		j := runJudge(t, cfg, &llmtest.Memo{}, string(b))
		// Both paths ask the same, which is asked once.
		if j.err != nil || len(j.valid) != 1 || calls.Load() != 1 {
			t.Fatalf("%v, %d calls, %+v", j.err, calls.Load(), j)
		}
		if got := strings.Contains(prompt, "THOUGHT"); got != thought || strings.Contains(prompt, "think>") || !strings.Contains(prompt, "SAID") {
			t.Errorf("show %q: %q", show, prompt)
		}
		if p := j.valid[0].Paths[1]; p.Response != row.Paths[1].Response {
			t.Errorf("show %q: the response became %q", show, p.Response)
		}
	}
}

type judged struct {
	valid, invalid []schema.Problem
	res            stage.Result
	err            error
}

func runJudge(t *testing.T, cfg map[string]any, memo stage.Memo, rows ...string) judged {
	t.Helper()
	dir := t.TempDir()
	input := filepath.Join(dir, "rows.jsonl")
	if err := os.WriteFile(input, []byte(strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, errs := Judge.Decode(cfg)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	js, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(Judge)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{"valid": filepath.Join(dir, "valid"), "invalid": filepath.Join(dir, "invalid")}
	var j judged
	j.res, j.err = reg.Run(context.Background(), stage.Task{Stage: "judged", Type: "judge", Version: Judge.Version, Config: js,
		Inputs: map[string][]stage.Input{"rows": {{Path: input, Label: "rows"}}}, Outputs: outputs, WorkDir: dir},
		stage.Services{Memo: memo, Warn: func(string) {}, Getenv: func(string) string { return "" }})
	if j.err == nil {
		for name, dst := range map[string]*[]schema.Problem{"valid": &j.valid, "invalid": &j.invalid} {
			for row, err := range stage.RowsFrom[schema.Problem](outputs[name], name).All() {
				if err != nil {
					t.Fatal(err)
				}
				*dst = append(*dst, row)
			}
		}
	}
	return j
}

// judgeServer answers by the marker in the reasoning.
func judgeServer(t *testing.T, calls *atomic.Int64, say func(prompt string, call int64) (status int, text string)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Messages    []llm.Message `json:"messages"`
			Temperature *float64      `json:"temperature"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if body.Temperature == nil || *body.Temperature != 0 {
			t.Error("temperature 0 was not sent")
		}
		status, text := say(body.Messages[0].Content, calls.Add(1))
		w.WriteHeader(status)
		if status == 200 {
			json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": text}, "finish_reason": "stop"}}})
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func pathRow(id string, responses ...string) string {
	row := schema.Problem{ID: id, Task: "gsm8k", Question: "q", GoldAnswer: "1"}
	yes := true
	for i, r := range responses {
		row.Paths = append(row.Paths, schema.Path{Style: fmt.Sprint("s", i), Response: r, FinishReason: "stop", Pred: "1", Correct: &yes})
	}
	b, _ := row.MarshalJSON()
	return string(b)
}

func TestJudgeSortsPaths(t *testing.T) {
	for _, tc := range []struct {
		unclear    string
		valid, bad []string
	}{
		{"drop", []string{"s0"}, []string{"s1", "s2", "s3"}},
		{"keep", []string{"s0", "s2"}, []string{"s1", "s3"}},
	} {
		var calls atomic.Int64
		url := judgeServer(t, &calls, func(p string, _ int64) (int, string) {
			switch {
			case strings.Contains(p, "GOOD"):
				return 200, `{"reason":"It holds.","verdict":"valid"}`
			case strings.Contains(p, "BAD"):
				return 200, `{"reason":"Step 1 is false.","verdict":"invalid"}`
			case strings.Contains(p, "BROKEN"):
				return 503, ""
			}
			return 200, "Hard to tell."
		})
		memo := &llmtest.Memo{}
		cfg := map[string]any{"model": "openai/m", "base_url": url, "max_retries": 0, "unclear": tc.unclear}
		rows := []string{pathRow("r1", "GOOD", "BAD", "FOGGY", "BROKEN"), pathRow("r2", "GOOD"), pathRow("r3", "BAD")}
		j := runJudge(t, cfg, memo, rows...)
		if j.err != nil {
			t.Fatal(j.err)
		}
		styles := func(rows []schema.Problem) (s []string) {
			for _, p := range rows[0].Paths {
				s = append(s, p.Style)
			}
			return s
		}
		if d := cmp.Diff(tc.valid, styles(j.valid)); d != "" {
			t.Errorf("%s: valid %s", tc.unclear, d)
		}
		if d := cmp.Diff(tc.bad, styles(j.invalid)); d != "" {
			t.Errorf("%s: invalid %s", tc.unclear, d)
		}
		if len(j.valid) != 2 || j.valid[1].ID != "r2" || len(j.invalid) != 2 || j.invalid[1].ID != "r3" {
			t.Errorf("%s: rows %v / %v", tc.unclear, j.valid, j.invalid)
		}
		if p := j.invalid[0].Paths[0]; p.Judge == nil || p.Judge.Reason != "Step 1 is false." {
			t.Errorf("%s: %+v", tc.unclear, p.Judge)
		}
		last := j.invalid[0].Paths[len(j.invalid[0].Paths)-1]
		if last.Judge != nil || !strings.HasPrefix(last.Error, "judge: ") || j.res.Incomplete == "" {
			t.Errorf("%s: a path without verdict: %+v, incomplete %q", tc.unclear, last, j.res.Incomplete)
		}
		if j.res.Stats["unclear"] != 1 {
			t.Errorf("%s: stats %v", tc.unclear, j.res.Stats)
		}
		// Same prompt, same answer: r2 and r3 repeat r1's prompts, and a second run asks
		// only for what failed.
		before := calls.Load()
		if again := runJudge(t, cfg, memo, rows...); again.err != nil || calls.Load() != before+1 {
			t.Errorf("%s: the second run sent %d requests (%v)", tc.unclear, calls.Load()-before, again.err)
		}
	}
}

func TestJudgeVotes(t *testing.T) {
	var calls atomic.Int64
	url := judgeServer(t, &calls, func(_ string, n int64) (int, string) {
		return 200, []string{`{"verdict":"invalid","reason":"no"}`, `{"verdict":"valid","reason":"yes"}`, `{"verdict":"valid","reason":"yes too"}`}[(n-1)%3]
	})
	j := runJudge(t, map[string]any{"model": "openai/m", "base_url": url, "votes": 3, "concurrency": 1}, nil, pathRow("r1", "x"))
	if j.err != nil || calls.Load() != 3 || len(j.valid) != 1 || j.valid[0].Paths[0].Judge.Reason != "yes" {
		t.Errorf("%v, %d calls, %+v", j.err, calls.Load(), j)
	}
	if got := j.res.Stats["agreement"]; got != 2.0/3 {
		t.Errorf("agreement %g, want two of three", got)
	}
	calls.Store(0)
	j = runJudge(t, map[string]any{"model": "openai/m", "base_url": url, "votes": 2, "concurrency": 1}, nil, pathRow("r1", "x"))
	if j.err != nil || len(j.invalid) != 1 || !strings.Contains(j.invalid[0].Paths[0].Judge.Reason, "1 valid, 1 invalid of 2") {
		t.Errorf("a tie: %v, %+v", j.err, j)
	}
}

func TestJudgeConfigErrors(t *testing.T) {
	for field, cfg := range map[string]map[string]any{
		"model":       {"model": "gpt-4o"},
		"budget_usd":  {"model": "openai/m", "budget_usd": 5.0},
		"max_tokens":  {"model": "openai/m", "budget_tokens": 5, "max_tokens": 0},
		"price_input": {"price_output": 1.0},
		"unclear":     {"unclear": "guess"},
		"votes":       {"votes": 0},
	} {
		_, errs := Judge.Decode(cfg)
		if len(errs) == 0 || errs[0].Path[0] != field {
			t.Errorf("%v: %v, want an error at %s", cfg, errs, field)
		}
	}
}
