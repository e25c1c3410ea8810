// Package serve starts a server beside a stage, such as one of a language model on the
// node that the stage runs on, and ends it with the stage.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Server is a command that serves, and how to know that it does.
type Server struct {
	Command string        `yaml:"command" json:"command"` // of the shell; $DISTILLFLOW_SERVE_PORT is a free port
	Ready   string        `yaml:"ready" json:"ready"`     // an http URL that answers 200, or a command that ends well; may name the port
	Wait    time.Duration `yaml:"wait" json:"wait"`       // how long that may take; 0 is 15 minutes
	URL     string        `yaml:"url" json:"url"`         // what stages ask; "" is http://127.0.0.1:PORT/v1
}

// The variables of the environment that a server and its stage get.
const (
	PortVar = "DISTILLFLOW_SERVE_PORT"
	URLVar  = "DISTILLFLOW_SERVE_URL"
	// openAIVar is the base URL of the models openai/... of stages that name none.
	openAIVar = "OPENAI_BASE_URL"
)

// Patience is how long the server may take to start; 0 without one.
func (s Server) Patience() time.Duration {
	switch {
	case s.Command == "":
		return 0
	case s.Wait == 0:
		return 15 * time.Minute
	}
	return s.Wait
}

// Check reports what is wrong with the settings.
func (s Server) Check() error {
	switch {
	case s.Wait < 0:
		return errors.New("serve: wait must not be negative")
	case s.Command == "" && s != Server{}:
		return errors.New("serve: there is no command")
	case s.Command != "" && s.Ready == "":
		return errors.New(`serve: there is no ready: write a URL such as http://127.0.0.1:$` + PortVar + `/health, or a command`)
	}
	return nil
}

// Parse reads a server as JSON; "" is none.
func Parse(text string) (s Server, err error) {
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("serve: %w", err)
	}
	return s, s.Check()
}

// stopGrace is how long a server that was told to stop may take.
const stopGrace = 10 * time.Second

// Start starts the server, sets its variables in this process's environment for the
// stage, and waits until it is ready. The server's output goes to standard error. stop
// ends it and all that it started.
func (s Server) Start(ctx context.Context) (stop func(), err error) {
	if s.Command == "" {
		return func() {}, nil
	}
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	// In the environment first: the URL may name the port.
	if err := os.Setenv(PortVar, strconv.Itoa(port)); err != nil {
		return nil, err
	}
	url := os.ExpandEnv(s.URL)
	if url == "" {
		url = fmt.Sprintf("http://127.0.0.1:%d/v1", port)
	}
	if err := errors.Join(os.Setenv(URLVar, url), os.Setenv(openAIVar, url)); err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-c", s.Command)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	ended := make(chan struct{})
	wait := parallel.Start(func() error { defer close(ended); return cmd.Wait() })
	stop = func() {
		signalGroup(cmd, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopGrace):
		}
		signalGroup(cmd, syscall.SIGKILL) // what the server started may outlive it
		_ = wait()
	}
	late := time.After(s.Patience())
	for {
		if s.ready(ctx) {
			return stop, nil
		}
		select {
		case <-ended:
			stop()
			return nil, fmt.Errorf("serve: the command ended before it was ready (%v)", wait())
		case <-ctx.Done():
			stop()
			return nil, context.Cause(ctx)
		case <-late:
			stop()
			return nil, fmt.Errorf("serve: the server was not ready within %s: raise wait, or look at ready: %s", s.Patience(), s.Ready)
		case <-time.After(readyEvery):
		}
	}
}

// readyEvery is how often a server that starts is asked whether it is ready.
var readyEvery = time.Second // tests shorten it

func (s Server) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if !strings.HasPrefix(s.Ready, "http://") && !strings.HasPrefix(s.Ready, "https://") {
		return exec.CommandContext(ctx, "sh", "-c", s.Ready).Run() == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.ExpandEnv(s.Ready), nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
