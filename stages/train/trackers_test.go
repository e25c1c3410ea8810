package train

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

// wandb and MLflow hear of every metric, of speed and of memory; the outputs are those of a
// run that nobody hears of, and a server that breaks costs a warning and nothing else.
func TestTrackers(t *testing.T) {
	got := map[string]int{}
	var ended []string
	broken := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Metrics []struct {
				Key  string
				Step int
			}
			Status string
		}
		b, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(b, &in)
		if in.Status != "" {
			ended = append(ended, in.Status)
		}
		for _, m := range in.Metrics {
			got[fmt.Sprintf("%s@%d", m.Key, m.Step)]++
		}
		if broken && in.Metrics != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"experiment": {"experiment_id": "1"}, "run": {"info": {"run_id": "r"}}}`)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	rows := writeRows(t, filepath.Join(dir, "rows.jsonl"), taught(t, 6, false))
	run := func(vars map[string]string) (digest string, warnings []string) {
		t.Helper()
		out, err := runStage(t, t.Context(), "train-moe", t.TempDir(), tinyConfig, 1, map[string]stage.Input{"paths": rows}, stage.Services{
			Getenv: func(name string) string { return vars[name] },
			Warn:   func(s string) { warnings = append(warnings, s) },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range []string{"models", "metrics", "router_log", "tensorboard"} {
			digest += digestOf(t, out[port])
		}
		return digest, warnings
	}
	alone, _ := run(nil)
	vars := map[string]string{"WANDB_MODE": "offline", "WANDB_DIR": dir, "MLFLOW_TRACKING_URI": server.URL}
	told, warnings := run(vars)
	if told != alone || len(warnings) > 0 {
		t.Errorf("the outputs depend on who is told, or there are warnings: %v", warnings)
	}
	for _, name := range []string{"a/warmup_loss@2", "a/loss@4", "b/grad_norm@6", "b/z_rank@4", "router_grad_norm@6", "path_entropy@4", "peer_coverage@6", "epoch@2", "tokens/s@4", "padded_tokens/s@4", "memory_gib@6"} {
		if got[name] != 1 {
			t.Errorf("%s came %d times", name, got[name])
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "wandb", "*", "*.wandb")); len(found) != 1 {
		t.Errorf("wandb has %v", found)
	}
	broken = true
	told, warnings = run(vars)
	if told != alone || len(warnings) != 1 || !strings.Contains(warnings[0], "without mlflow") || !strings.Contains(warnings[0], "500") {
		t.Errorf("a broken server: %v", warnings)
	}
	if len(ended) != 1 || ended[0] != "FINISHED" {
		t.Errorf("runs ended with %v", ended)
	}
}
