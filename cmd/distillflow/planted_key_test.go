package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Keys that nothing may repeat. They need no encoding in JSON, YAML, HTML and shells, so that
// a copy is found by its bytes.
const (
	plantedKey      = "sk-planted-0123456789-abcdef"
	plantedToken    = "hf_planted_0123456789abcdef"
	plantedPassword = "planted-pw-0123456789"
)

var planted = []string{plantedKey, plantedToken, plantedPassword}

// TestAPlantedKeyIsNowhere runs recipes whose program, teacher and params repeat keys, and
// then looks for the keys in everything that was printed and written.
func TestAPlantedKeyIsNowhere(t *testing.T) {
	dir := t.TempDir()
	teacher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		auth := r.Header.Get("Authorization")
		if !strings.Contains(auth, plantedKey) {
			t.Errorf("the teacher got %q", auth)
		}
		if bytes.Contains(body, []byte("three")) { // an error that repeats the key, in its text and in its headers
			w.Header().Set("X-Echo", auth)
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s","code":"%s"}}`, auth, plantedKey)
			return
		}
		fmt.Fprint(w, `{"model":"m","choices":[{"message":{"role":"assistant","content":"The answer is 6."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	defer teacher.Close()
	mlflow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"message":"`+r.Header.Get("Authorization")+`"}`, http.StatusForbidden)
	}))
	defer mlflow.Close()
	model, err := filepath.Abs("../../stages/train/testdata/train-sft/basic/model")
	if err != nil {
		t.Fatal(err)
	}
	const head = `
params: {base_url: {default: ""}, api_key: {default: ""}, note: {default: ""}, rows: {type: path, default: rows.jsonl}}
stages:
  problems: {uses: scan, with: {root: "${{ params.rows }}", task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [plain]}}
  replies:
    uses: batch-llm
    from: prompts
    save: out/
    with: {model: openai/m, base_url: "${{ params.base_url }}", max_retries: 0, stop: ["${{ params.note }}"]}
  shown:
    uses: exec
    from: prompts
    with:
      command: [sh, -c, 'echo "key $OPENAI_API_KEY"; echo "token $HF_TOKEN" >&2; env; STATUS', sh, "{in}", "{out.rows}"]
      pass_env: [OPENAI_API_KEY, HF_TOKEN]
`
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("rows.jsonl", `{"id": "a", "question": "Two and three?", "answer": "5"}`+"\n"+`{"id": "b", "question": "Two and four?", "answer": "6"}`+"\n")
	write("whole.jsonl", `{"id": "b", "question": "Two and four?", "answer": "6"}`+"\n")
	write("good.yaml", strings.Replace(head, "STATUS", `cp "$1" "$2"`, 1)+`
  copied: {uses: concat, from: shown}
`)
	write("bad.yaml", strings.Replace(head, "STATUS", "exit 3", 1))
	write("leak.yaml", strings.Replace(head, "STATUS", `echo "$OPENAI_API_KEY" >"$DISTILLFLOW_OUT_DIR/f"`, 1))
	write("tune.yaml", fmt.Sprintf(`
stages:
  rows: {uses: import, with: {root: solved.jsonl}}
  tune: {uses: train-sft, from: rows.rows, with: {model: %q, lora: {r: 4, alpha: 8, targets: ["*_proj"]}, max_steps: 2, batch: 2, micro_batch: 2, device: cpu}}
`, model))
	solved := ""
	for i := range 8 {
		solved += fmt.Sprintf(`{"id":"p%d","task":"gsm8k","question":"Two and %d?","gold_answer":"%d","paths":[{"style":"cot","prompt":"Two and %d?","response":"The answer is %d.","finish_reason":"stop","pred":"%d","correct":true}]}`+"\n", i, i, i+2, i, i+2, i+2)
	}
	write("solved.jsonl", solved)
	var said bytes.Buffer
	run := func(status int, args ...string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], args...)
		cmd.Dir = dir
		cmd.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "OPENAI_API_KEY=" + plantedKey, "HF_TOKEN=" + plantedToken,
			"WANDB_MODE=offline", "WANDB_API_KEY=" + plantedKey, "MLFLOW_TRACKING_URI=" + mlflow.URL, "MLFLOW_TRACKING_TOKEN=" + plantedToken,
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + mlflow.URL, "OTEL_EXPORTER_OTLP_HEADERS=authorization=" + plantedToken}
		out, err := cmd.CombinedOutput()
		said.Write(out)
		var ended *exec.ExitError
		if err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%s: status %d, want %d\n%s", args, got, status, out)
		}
		for _, key := range planted {
			if bytes.Contains(out, []byte(key)) {
				t.Errorf("%s printed %s:\n%s", args, key, out)
			}
		}
	}
	server := "base_url=" + teacher.URL + "/v1"
	// A program that prints keys and fails, as events, in the plain view and in a process of
	// its own.
	run(1, "run", "--json", "--allow-exec", "--set", server, "bad.yaml")
	run(1, "run", "--plain", "--allow-exec", "--set", server, "bad.yaml")
	run(1, "run", "--plain", "--isolate", "--allow-exec", "--set", server, "bad.yaml")
	run(0, "show", "last")
	run(0, "log", "last", "shown")
	run(0, "log", "last")
	// One that writes a key into its results.
	run(1, "run", "--plain", "--allow-exec", "--set", server, "leak.yaml")
	// A param with the name of a key is not kept, and one with its value is refused; so is a
	// server with a password.
	run(0, "run", "--plain", "--allow-exec", "--set", server, "--set", "api_key="+plantedPassword, "good.yaml")
	run(2, "run", "--plain", "--allow-exec", "--set", server, "--set", "note="+plantedKey, "good.yaml")
	run(2, "run", "--plain", "--allow-exec", "--set", "base_url=http://me:"+plantedPassword+"@127.0.0.1:1/v1", "good.yaml")
	run(2, "validate", "--set", "base_url=http://me:"+plantedPassword+"@127.0.0.1:1/v1", "good.yaml")
	run(2, "validate", "--set", "base_url=http://127.0.0.1:1/v1?token="+plantedPassword, "good.yaml")
	for _, rest := range []string{"/x", " x", "%zz"} { // an address that cannot be read
		run(2, "run", "--plain", "--allow-exec", "--set", "base_url=http://me:"+plantedPassword+rest+"@127.0.0.1:1/v1", "good.yaml")
	}
	// Everything that is made of a run.
	run(0, "run", "--json", "--allow-exec", "--lock", "--set", server, "--set", "api_key="+plantedPassword, "--set", "rows=whole.jsonl", "good.yaml")
	run(0, "show", "good.yaml")
	run(0, "validate", "--json", "--set", server, "good.yaml")
	run(0, "bundle", "create", "last", "packed.tar.zst", "good.yaml")
	run(0, "ui", "--export", "pages", "good.yaml")
	run(0, "memo")
	run(0, "doctor")
	run(0, "compare", "good.yaml", "good.yaml")
	// Trackers.
	run(0, "run", "--plain", "tune.yaml")

	if !strings.Contains(said.String(), "[OPENAI_API_KEY]") || !strings.Contains(said.String(), "[HF_TOKEN]") {
		t.Errorf("what the program printed was not shown at all:\n%s", said.String())
	}
	seen := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		for _, name := range []string{"report.html", "recipe.json", "events.jsonl", "distillflow.lock", "index.html", ".wandb", "packed.tar.zst", "output.log"} {
			seen[name] = seen[name] || strings.HasSuffix(rel, name)
		}
		for _, key := range planted {
			if holds(b, key) {
				t.Errorf("%s holds %s", rel, key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.html", "recipe.json", "events.jsonl", "distillflow.lock", "index.html", ".wandb", "packed.tar.zst", "output.log"} {
		if !seen[name] {
			t.Errorf("there is no %s to look into", name)
		}
	}
}

// holds reports whether bytes hold a text, as they are or in a zstd frame.
func holds(b []byte, text string) bool {
	if bytes.Contains(b, []byte(text)) {
		return true
	}
	for i := 0; ; i++ {
		n := bytes.Index(b[i:], []byte{0x28, 0xb5, 0x2f, 0xfd})
		if n < 0 {
			return false
		}
		i += n
		z, err := zstd.NewReader(bytes.NewReader(b[i:]), zstd.WithDecoderConcurrency(1))
		if err != nil {
			continue
		}
		out, _ := io.ReadAll(io.LimitReader(z, 64<<20)) // up to where the frame ends
		z.Close()
		if bytes.Contains(out, []byte(text)) {
			return true
		}
	}
}
