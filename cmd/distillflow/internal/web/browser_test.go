package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// TestBrowser drives the pages in headless Chromium. It needs node, chromium, and in
// DISTILLFLOW_BROWSER_MODULES a node_modules folder with playwright-core and axe-core.
func TestBrowser(t *testing.T) {
	modules := os.Getenv("DISTILLFLOW_BROWSER_MODULES")
	if modules == "" {
		t.Skip("DISTILLFLOW_BROWSER_MODULES is not set; the pages are not driven in a browser")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skipf("no node: %v", err)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("no chromium: %v", err)
	}
	x := newSite(t, 6)
	run, err := x.server.Store.NewRun(store.RunInfo{Recipe: "live.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Event(event.Event{Time: time.Now(), Kind: event.StageStarted, Stage: "slow", Type: "scan"}); err != nil {
		t.Fatal(err)
	}
	if err := run.Flush(); err != nil {
		t.Fatal(err)
	}
	end := filepath.Join(t.TempDir(), "end")
	c := exec.CommandContext(t.Context(), node, "testdata/browse.mjs", modules, chromium, x.URL+"/?token="+x.server.Token(), x.run, run.ID())
	c.Env = append(os.Environ(), "LIVE_END="+end)
	out := &logged{t: t}
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	wait := parallel.Start(func() error { defer close(exited); return c.Wait() })
	for waits := true; waits; {
		select {
		case <-exited:
			waits = false
		case <-time.After(100 * time.Millisecond):
			_, err := os.Stat(end)
			waits = err != nil
		}
	}
	if err := run.Event(event.Event{Time: time.Now(), Kind: event.StageDone, Stage: "slow", Type: "scan", Seconds: 1}); err != nil {
		t.Error(err)
	}
	if err := run.Finish("done", nil); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Errorf("the browser: %v", err)
	}
}

// logged writes what a process prints to the test's log.
type logged struct{ t *testing.T }

func (l *logged) Write(p []byte) (int, error) {
	l.t.Log(string(p))
	return len(p), nil
}
