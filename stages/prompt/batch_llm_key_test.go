package prompt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm/providers"
)

// openMemo keeps everything that a stage stores, where a test can read it.
type openMemo struct {
	mu sync.Mutex
	m  map[[32]byte][]byte
}

func (o *openMemo) Get(k [32]byte) ([]byte, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.m[k]
	return v, ok, nil
}

func (o *openMemo) Put(k [32]byte, v []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.m[k]; !ok {
		o.m[k] = v
	}
	return nil
}

func (o *openMemo) Claim(context.Context, [32]byte, func(string)) (func(), error) {
	return func() {}, nil
}

// A server that repeats the key in error messages of every kind and in headers. The key
// must reach the server and be found nowhere else: not in outputs, errors, warnings,
// progress, statistics, the memo or the working folder. A good answer is kept as it is.
func TestKeyLeaksNowhere(t *testing.T) {
	for _, provider := range []string{"openai", "gemini"} {
		for _, fatal := range []bool{false, true} {
			t.Run(fmt.Sprint(provider, fatal), func(t *testing.T) {
				reached := 0
				var mu sync.Mutex
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					b, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					if strings.Contains(r.Header.Get("Authorization")+r.Header.Get("X-Goog-Api-Key"), plantedKey) {
						reached++
					}
					n := reached
					mu.Unlock()
					w.Header().Set("X-Echo", plantedKey)
					key := plantedKey
					switch q := string(b); {
					case fatal && n > 5:
						w.WriteHeader(401)
						fmt.Fprintf(w, `{"error":{"message":"bad key %s","code":%q,"status":%q}}`, key, key, key)
					case strings.Contains(q, "cot 3"):
						w.WriteHeader(400)
						fmt.Fprintf(w, `{"error":{"message":"key %s","type":%q,"status":%q}}`, key, key, key)
					case strings.Contains(q, "cot 4"):
						w.WriteHeader(503)
						io.WriteString(w, key)
					case strings.Contains(q, "cot 5"):
						io.WriteString(w, "<html>"+key)
					default:
						io.WriteString(w, `{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}],"candidates":[{"content":{"parts":[{"text":"yes"}]},"finishReason":"STOP"}]}`)
					}
				}))
				defer srv.Close()
				dir, memo := filepath.Join(t.TempDir(), strings.Repeat("ab", 32)), &openMemo{m: map[[32]byte][]byte{}}
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				cfg, err := json.Marshal(map[string]any{"model": provider + "/m", "base_url": srv.URL, "max_retries": 1, "concurrency": 2,
					"refresh": true, "retry_on": []string{"empty"}, "budget_requests": 1000})
				if err != nil {
					t.Fatal(err)
				}
				reg, err := stage.NewRegistry(BatchLLM)
				if err != nil {
					t.Fatal(err)
				}
				var seen strings.Builder
				note := func(v any) {
					mu.Lock()
					defer mu.Unlock()
					fmt.Fprintf(&seen, "%+v\n", v)
				}
				out := filepath.Join(dir, "out")
				res, err := reg.Run(t.Context(), stage.Task{
					Stage: "replies", Type: "batch-llm", Version: BatchLLM.Version, Config: cfg, WorkDir: dir, Key: keyOf(dir),
					Inputs:  map[string][]stage.Input{"prompts": {{Path: writePrompts(t, 8), Label: "prompts"}}},
					Outputs: map[string]string{"replies": out, "errors": out + ".errors"},
				}, stage.Services{
					Memo: memo, Warn: func(s string) { note(s) }, Progress: func(p stage.Progress) { note(p) },
					Getenv: func(name string) string {
						if name == providers.OfflineEnv {
							return ""
						}
						return plantedKey
					},
				})
				if (err != nil) != fatal {
					t.Fatal(err)
				}
				note(res)
				note(fmt.Sprintf("%v %#v", err, err))
				for _, v := range memo.m {
					note(string(v))
				}
				files := 0
				if err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
					if err != nil || d.IsDir() {
						return err
					}
					files++
					b, err := os.ReadFile(p)
					note(p + string(b))
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if reached == 0 || len(memo.m) == 0 || files == 0 {
					t.Fatalf("nothing was tested: %d requests, %d records, %d files", reached, len(memo.m), files)
				}
				if i := strings.Index(seen.String(), plantedKey); i >= 0 {
					s := seen.String()
					t.Errorf("the key stands in: ...%s...", s[max(0, i-200):min(len(s), i+100)])
				}
			})
		}
	}
}
