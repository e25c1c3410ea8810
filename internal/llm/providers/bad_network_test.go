package providers

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// badNetwork forwards connections to a server. forward has each of them, numbered from 0,
// copy the server's answer as it likes; the connection ends when it returns.
func badNetwork(t *testing.T, server string, forward func(n int, client net.Conn, answer io.Reader)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				up, err := net.Dial("tcp", strings.TrimPrefix(server, "http://"))
				if err != nil {
					return
				}
				defer up.Close()
				go io.Copy(up, client)
				forward(n, client, up)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// A network that is slow, cuts connections or ends answers in the middle costs retries and
// nothing else; and the budget counts as possibly billed what it cut.
func TestBadNetwork(t *testing.T) {
	for name, tc := range map[string]struct {
		forward func(n int, client net.Conn, answer io.Reader)
		kind    llm.Kind
		timeout time.Duration
	}{
		"slow": {func(_ int, client net.Conn, answer io.Reader) {
			time.Sleep(10 * time.Millisecond)
			io.Copy(client, answer)
		}, "", time.Minute},
		"in slices": {func(_ int, client net.Conn, answer io.Reader) {
			for err := error(nil); err == nil; {
				_, err = io.CopyN(client, answer, 20)
			}
		}, "", time.Minute},
		"reset": {func(n int, client net.Conn, answer io.Reader) {
			if n%2 == 0 {
				client.(*net.TCPConn).SetLinger(0)
				return
			}
			io.Copy(client, answer)
		}, llm.KindNetwork, time.Minute},
		"cut": {func(n int, client net.Conn, answer io.Reader) {
			if n%2 == 0 {
				answer = io.LimitReader(answer, 150)
			}
			io.Copy(client, answer)
		}, llm.KindNetwork, time.Minute},
		"silent": {func(n int, client net.Conn, answer io.Reader) {
			if n%8 == 0 {
				io.Copy(io.Discard, client) // until the caller gives up
				return
			}
			io.Copy(client, answer)
		}, llm.KindTimeout, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream, calls := server(t, func(p string, _ int) (int, string, string) { return 200, "re: " + p + strings.Repeat(".", 200), "stop" })
			url := badNetwork(t, upstream, tc.forward)
			s := Settings{Links: []Fallback{{Model: "openai/m", BaseURL: url + "/v1", Concurrency: 4}},
				MaxRetries: 30, MinBackoff: time.Millisecond, Timeout: tc.timeout}
			memo := &llmtest.Memo{}
			c, err := New(t.Context(), s, Services{Memo: memo})
			if err != nil {
				t.Fatal(err)
			}
			const n = 25
			for i := range n {
				r, err := ask(t, c, fmt.Sprint(i))
				if err != nil {
					t.Fatalf("%d: %v", i, err)
				}
				if want := "re: " + fmt.Sprint(i) + strings.Repeat(".", 200); r.Text != want {
					t.Errorf("%d: %q", i, r.Text)
				}
			}
			st := c.Stats()
			if tc.kind != "" && st.Errors[tc.kind] == 0 {
				t.Errorf("errors %v, want some %s", st.Errors, tc.kind)
			}
			if tc.kind == "" && st.Calls != n {
				t.Errorf("%d calls: %+v", st.Calls, st)
			}
			if memo.Len() != n || calls() > st.Calls {
				t.Errorf("%d kept, the server saw %d of %d calls", memo.Len(), calls(), st.Calls)
			}
			// Fifteen tokens an answer; what was cut counts with its worst case.
			if got := c.Spent(); got.Requests != st.Calls || got.Tokens < n*15 || tc.kind == "" && got.Tokens != n*15 || tc.kind != "" && got.Tokens == n*15 {
				t.Errorf("%+v spent on %d calls, %v", got, st.Calls, st.Errors)
			}
		})
	}
}
