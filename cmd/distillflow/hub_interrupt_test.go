package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// While the Hub does not answer, an interrupt ends the command at once, for data
// sets and models alike, and says nothing against the recipe.
func TestInterruptWhileTheHubIsAsked(t *testing.T) {
	for name, stages := range map[string]string{
		"data set": `{rows: {uses: scan, with: {root: "hf://acme/sums#train", task: gsm8k}}}`,
		"student":  `{rows: {uses: import, with: {root: rows.jsonl}}, tune: {uses: train-sft, from: rows, with: {model: "hf://acme/tiny", name: x}}}`,
		"teacher":  `{rows: {uses: import, with: {root: rows.jsonl}}, ask: {uses: batch-llm, from: rows, with: {model: "local/hf://acme/tiny"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			hub, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer hub.Close()
			dir := t.TempDir()
			t.Setenv("HF_ENDPOINT", "http://"+hub.Addr().String())
			t.Setenv("HF_HOME", dir)
			t.Setenv("HF_HUB_OFFLINE", "")
			recipe := filepath.Join(dir, "r.yaml")
			for file, content := range map[string]string{recipe: "stages: " + stages + "\n", filepath.Join(dir, "rows.jsonl"): ""} {
				if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			asked := make(chan error, 1)
			go func() { // accepts, never answers
				conn, err := hub.Accept()
				asked <- err
				interrupt()
				if err == nil {
					<-ctx.Done()
					defer conn.Close()
				}
			}()
			var out, errs bytes.Buffer
			a := app{in: strings.NewReader(""), out: &out, err: &errs, getenv: os.Getenv}
			status := a.run(ctx, []string{"run", recipe})
			_ = hub.Close() // else a command that does not ask would be waited for
			if err := <-asked; err != nil {
				t.Fatalf("the Hub was not asked; status %d\n%s", status, errs.String())
			}
			if status != exitInterrupted || strings.Contains(errs.String(), "r.yaml:") {
				t.Errorf("status %d, want %d:\n%s", status, exitInterrupted, errs.String())
			}
		})
	}
}
