package serve

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServe(t *testing.T) {
	readyEvery = 10 * time.Millisecond
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("the server of this test is Python's")
	}
	dir := t.TempDir()
	for _, v := range []string{PortVar, URLVar, openAIVar} {
		t.Setenv(v, "") // restored afterwards
	}
	s := Server{Command: "cd " + dir + " && echo yes >health && python3 -m http.server $" + PortVar + " --bind 127.0.0.1; :",
		Ready: "http://127.0.0.1:$" + PortVar + "/health", Wait: 30 * time.Second}
	stop, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + os.Getenv(PortVar) + "/health"
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if string(b) != "yes\n" || os.Getenv(openAIVar) != os.Getenv(URLVar) || !strings.HasSuffix(os.Getenv(URLVar), "/v1") {
		t.Errorf("%q, %q, %q", b, os.Getenv(URLVar), os.Getenv(openAIVar))
	}
	stop() // the server is a child of the shell
	if r, err := http.Get(url); err == nil {
		r.Body.Close()
		t.Error("the server is still there")
	}
}

func TestServeFails(t *testing.T) {
	readyEvery = 10 * time.Millisecond
	for _, v := range []string{PortVar, URLVar, openAIVar} {
		t.Setenv(v, "")
	}
	mark := filepath.Join(t.TempDir(), "mark")
	for want, s := range map[string]Server{
		"ended before it was ready (exit status 3)": {Command: "exit 3", Ready: "false"},
		"was not ready within 50ms":                 {Command: "sleep 60", Ready: "false", Wait: 50 * time.Millisecond},
	} {
		if _, err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Server{Command: "touch " + mark + "; sleep 60", Ready: "false"}).Start(ctx); err == nil {
		t.Error("a stopped start")
	}
	stop, err := Server{}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop()
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		s    Server
		want string
	}{
		{Server{}, ""}, {Server{Command: "a", Ready: "b"}, ""},
		{Server{Command: "a"}, "there is no ready"}, {Server{Ready: "b"}, "there is no command"}, {Server{Wait: -1}, "negative"},
	} {
		err := c.s.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}
