package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// runApp runs one command line in this process.
func runApp(t *testing.T, getenv map[string]string, args ...string) (status int, out string) {
	t.Helper()
	var b bytes.Buffer
	a := app{in: strings.NewReader(""), out: &b, err: &b, getenv: func(name string) string { return getenv[name] }}
	status = a.run(context.Background(), args)
	return status, b.String()
}

// TestShippedRecipes runs the tests that lie beside the shipped recipes. No server
// answers here, and none has to.
func TestShippedRecipes(t *testing.T) {
	status, out := runApp(t, map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1"}, "test", filepath.Join("..", "..", "recipes"))
	if status != exitOK || !strings.Contains(out, " 0 failed") {
		t.Errorf("status %d\n%s", status, out)
	}
}

// TestRecord asks a server once and never again, and pays nothing twice for a second
// recording.
func TestRecord(t *testing.T) {
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if got := r.Header.Get("Authorization"); got != "Bearer the-key" {
			t.Errorf("authorization %q", got)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{
			"message": map[string]any{"content": "So it is 5. The answer is 5."}, "finish_reason": "stop"}}})
	}))
	defer srv.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("rows.jsonl", `{"id": "ann", "question": "Ann has 2 nuts and finds 3. How many has she?", "answer": "5"}
{"id": "bob", "question": "Bob has 9 nuts and eats 4. How many are left?", "answer": "6"}
`)
	recipe := write("r.yaml", `stages:
  problems: {uses: scan, with: {root: rows.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [cot]}}
  replies: {uses: batch-llm, from: prompts, with: {model: openai/m, base_url: "`+srv.URL+`", replicates: 2, max_retries: 0}}
  graded: {uses: verify-math, from: preds}
  preds: {uses: extract, from: replies}
`)
	write("r.test.yaml", `cases:
  - name: recorded
    teacher: {id: bob, replicate: 1, answer: The answer is 6.}
    expect:
      graded: {count: 2}
      graded.correct: {count: 2, any: 'id == "bob" and len(paths) == 1'}
`)
	env := map[string]string{"OPENAI_API_KEY": "the-key", "DISTILLFLOW_MEMO": filepath.Join(dir, "memo")}
	answers := filepath.Join(dir, "r.answers.jsonl")

	if status, out := runApp(t, env, "test", recipe); status != exitFailed || calls.Load() != 0 || !strings.Contains(out, "r.answers.jsonl") {
		t.Fatalf("without answers: status %d, %d calls\n%s", status, calls.Load(), out)
	}
	if status, out := runApp(t, env, "test", "--record", recipe); status != exitOK || calls.Load() != 3 || !strings.Contains(out, "recorded 3 answers in ") {
		t.Fatalf("recording: status %d, %d calls\n%s", status, calls.Load(), out)
	}
	first, err := os.ReadFile(answers)
	if err != nil || strings.Count(string(first), "\n") != 3 || strings.Contains(string(first), "the-key") {
		t.Fatalf("%v:\n%s", err, first)
	}
	// The memo of paid answers is not what tests live by.
	for _, args := range [][]string{{"test", recipe}, {"test", "--record", recipe}} {
		status, out := runApp(t, map[string]string{"DISTILLFLOW_MEMO": filepath.Join(dir, "none")}, args...)
		if again, _ := os.ReadFile(answers); status != exitOK || calls.Load() != 3 || !bytes.Equal(first, again) {
			t.Errorf("%v: status %d, %d calls\n%s", args, status, calls.Load(), out)
		}
	}
	if err := os.Remove(answers); err != nil {
		t.Fatal(err)
	}
	if status, out := runApp(t, env, "test", "--record", recipe); status != exitOK || calls.Load() != 3 {
		t.Errorf("recording what is paid for: status %d, %d calls\n%s", status, calls.Load(), out)
	}
	if again, _ := os.ReadFile(answers); !bytes.Equal(first, again) {
		t.Errorf("recorded anew, the file differs:\n%s\n%s", first, again)
	}
	if _, err := os.Stat(filepath.Join(dir, ".distillflow")); err == nil {
		t.Error("a test made a store beside the recipe")
	}
}
