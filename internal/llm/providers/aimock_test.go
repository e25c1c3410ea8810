package providers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// aimockEnv names the script of the npm package @copilotkit/aimock, dist/cli.js in its
// folder. The package imitates the providers' servers and breaks on request; nobody here
// wrote it.
const aimockEnv = "DISTILLFLOW_AIMOCK"

type aimock struct {
	t   *testing.T
	url string
}

// startAimock runs a server that answers every prompt with the word "n-th", where the
// prompt says which.
func startAimock(t *testing.T) aimock {
	t.Helper()
	script := os.Getenv(aimockEnv)
	if script == "" {
		t.Skip("set " + aimockEnv + " to dist/cli.js of the npm package @copilotkit/aimock to test against it")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	type fixture struct {
		Match    map[string]string `json:"match"`
		Response map[string]string `json:"response"`
	}
	var fixtures []fixture
	for i := range aimockPrompts {
		fixtures = append(fixtures, fixture{map[string]string{"userMessage": fmt.Sprintf("question %d!", i)}, map[string]string{"content": fmt.Sprintf("answer %d", i)}})
	}
	b, err := json.Marshal(map[string]any{"fixtures": fixtures})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "fixtures.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, script, "-p", "0", "-f", file, "--journal-max", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	listening := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	var log strings.Builder
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if url := listening.FindString(lines.Text()); url != "" {
			go io.Copy(io.Discard, out)
			return aimock{t, url}
		}
	}
	t.Fatalf("aimock did not start:\n%s", log.String())
	return aimock{}
}

const aimockPrompts = 60

// chaos sets how often the server breaks, by kind.
func (a aimock) chaos(rates map[string]float64) {
	a.t.Helper()
	b, err := json.Marshal(rates)
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := http.Post(a.url+"/__aimock/chaos", "application/json", bytes.NewReader(b))
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		a.t.Fatalf("chaos: %s", res.Status)
	}
}

// served counts the requests to a path that the server has noted.
func (a aimock) served(path string) int {
	a.t.Helper()
	res, err := http.Get(a.url + "/__aimock/journal")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	var entries []struct{ Path string }
	if err := json.NewDecoder(res.Body).Decode(&entries); err != nil {
		a.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Path, path) {
			n++
		}
	}
	return n
}

// askAll asks every prompt and wants every answer.
func askAll(t *testing.T, c *Caller) {
	t.Helper()
	var wg sync.WaitGroup
	prompts := make(chan int)
	for range c.Concurrency() {
		wg.Go(func() {
			for i := range prompts {
				r, err := ask(t, c, fmt.Sprintf("question %d!", i))
				if err != nil {
					t.Errorf("%d: %v", i, err)
				} else if r.Text != fmt.Sprintf("answer %d", i) || r.FinishReason != llm.FinishStop {
					t.Errorf("%d: %+v", i, r)
				}
			}
		})
	}
	for i := range aimockPrompts {
		prompts <- i
	}
	close(prompts)
	wg.Wait()
}

// Whatever an aimock server injects, every answer arrives, what is paid for is kept, and a
// second run asks nothing.
func TestAimock(t *testing.T) {
	for _, provider := range []struct {
		link func(url string) Fallback
		path string
	}{
		{func(url string) Fallback { return Fallback{Model: "openai/gpt-4o", BaseURL: url + "/v1"} }, "/v1/chat/completions"},
		{func(url string) Fallback { return Fallback{Model: "gemini/gemini-2.5-flash", BaseURL: url} }, "/v1beta/models/gemini-2.5-flash:generateContent"},
		{func(url string) Fallback { return Fallback{Model: "anthropic/claude-haiku-4-5", BaseURL: url} }, "/v1/messages"},
	} {
		for name, tc := range map[string]struct {
			chaos map[string]float64
			kind  llm.Kind
		}{
			"well":        {nil, ""},
			"drops":       {map[string]float64{"dropRate": 0.3}, llm.KindServer},
			"malformed":   {map[string]float64{"malformedRate": 0.3}, llm.KindMalformed},
			"disconnects": {map[string]float64{"disconnectRate": 0.3}, llm.KindNetwork},
			"rate":        {map[string]float64{"rateLimitRate": 0.05}, llm.KindRate},
			"latency":     {map[string]float64{"latencyMs": 50}, ""},
			"everything":  {map[string]float64{"dropRate": 0.1, "malformedRate": 0.1, "disconnectRate": 0.1, "latencyMs": 5}, ""},
		} {
			t.Run(provider.path+" "+name, func(t *testing.T) {
				t.Parallel()
				a := startAimock(t)
				if tc.chaos != nil {
					a.chaos(tc.chaos)
				}
				link := provider.link(a.url)
				link.Concurrency = 8
				s := Settings{Links: []Fallback{link}, MaxRetries: 40, MinBackoff: 5 * time.Millisecond, Timeout: 10 * time.Second}
				memo := &llmtest.Memo{}
				c, err := New(t.Context(), s, Services{Getenv: withKey, Memo: memo})
				if err != nil {
					t.Fatal(err)
				}
				askAll(t, c)
				st := c.Stats()
				if st.Calls-st.Retries != aimockPrompts || st.Failed != 0 || memo.Len() != aimockPrompts {
					t.Errorf("%+v, %d kept", st, memo.Len())
				}
				if tc.kind != "" && len(st.Errors) > 0 && st.Errors[tc.kind] == 0 {
					t.Errorf("errors by kind %v, want %s", st.Errors, tc.kind)
				}
				// A connection that is cut is noted or not, as it falls.
				if n := a.served(provider.path); st.Errors[llm.KindNetwork] == 0 && n != st.Calls {
					t.Errorf("the server noted %d requests, we sent %d", n, st.Calls)
				}
				before := a.served(provider.path)
				if c, err = New(t.Context(), s, Services{Getenv: withKey, Memo: memo}); err != nil {
					t.Fatal(err)
				}
				askAll(t, c)
				if n := a.served(provider.path); n != before || c.Stats().MemoHits != aimockPrompts {
					t.Errorf("the second run sent %d requests", n-before)
				}
			})
		}
	}
}
