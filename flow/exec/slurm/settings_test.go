package slurm

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/stage"
)

const settingsText = `
partition: main
account: lab
memory: 4GB
time: 2h
flags: [--nice=10]
setup: |
  module load cuda
max_jobs: 50
poll: 30s
stages:
  train-moe: {gpus: 1, gpu_type: a100, time: 24h, signal: 5m}
  "train-big*": {partition: big, qos: long, flags: [--exclusive]}
  batch-llm: {serve: {command: vllm serve m, ready: "http://127.0.0.1:$DISTILLFLOW_SERVE_PORT/health"}}
`

func readSettings(t *testing.T, text string) (s Settings) {
	t.Helper()
	if err := yaml.Load([]byte(text), &s, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRequest(t *testing.T) {
	s := readSettings(t, settingsText)
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if s.MaxJobs != 50 || s.Poll != 30*time.Second || s.Setup != "module load cuda\n" {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		name string
		task stage.Task
		want string
		had  stage.Needs
	}{
		{"the defaults", stage.Task{Stage: "a", Type: "filter"},
			"--requeue --partition=main --account=lab --mem=3815M --time=120 --signal=B:TERM@120 --nice=10", stage.Needs{Memory: 4e9, Time: 2 * time.Hour}},
		{"what the recipe declares", stage.Task{Stage: "a", Type: "filter", Needs: stage.Needs{CPUs: 1.5, Memory: 1 << 30, GPUs: 2, Time: time.Minute}},
			"--requeue --partition=main --account=lab --cpus-per-task=2 --mem=1024M --gres=gpu:2 --time=3 --signal=B:TERM@90 --nice=10",
			stage.Needs{CPUs: 1.5, Memory: 1 << 30, GPUs: 2, Time: time.Minute}},
		{"by type", stage.Task{Stage: "a", Type: "train-moe"},
			"--requeue --partition=main --account=lab --mem=3815M --gres=gpu:a100:1 --time=1440 --signal=B:TERM@300 --nice=10",
			stage.Needs{Memory: 4e9, GPUs: 1, Time: 24 * time.Hour}},
		{"by name, the longest", stage.Task{Stage: "train-big-1", Type: "train-moe"},
			"--requeue --partition=big --account=lab --qos=long --mem=3815M --time=120 --signal=B:TERM@120 --nice=10 --exclusive",
			stage.Needs{Memory: 4e9, Time: 2 * time.Hour}},
		{"a server needs time to start", stage.Task{Stage: "ask", Type: "batch-llm", Needs: stage.Needs{Time: time.Hour}},
			"--requeue --partition=main --account=lab --mem=3815M --time=77 --signal=B:TERM@120 --nice=10", stage.Needs{Memory: 4e9, Time: time.Hour}},
	} {
		r := s.request(c.task)
		if d := cmp.Diff(c.want, strings.Join(r.argv, " ")); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, d)
		}
		if d := cmp.Diff(c.had, r.had); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, d)
		}
	}
	if none := (Settings{}).request(stage.Task{}); strings.Join(none.argv, " ") != "--requeue --signal=B:TERM@120" {
		t.Errorf("without settings: %q", none.argv)
	}
}

func TestWrongSettings(t *testing.T) {
	for text, want := range map[string]string{
		"memory: much":                         "memory: ",
		"cpus: -1":                             "must not be negative",
		"max_jobs: -1":                         "must not be negative",
		"flags: [nice]":                        `"nice" is no flag of sbatch`,
		`stages: {"a[": {}}`:                   `stages: "a["`,
		"stages: {a: {memory: x}}":             "stages: a: memory",
		"serve: {ready: x}":                    "there is no command",
		"stages: {a: {serve: {command: run}}}": "there is no ready",
	} {
		if _, err := New(readSettings(t, text), Host{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if err := yaml.Load([]byte("partitoin: x"), &Settings{}, yaml.WithKnownFields()); err == nil {
		t.Error("an unknown field")
	}
}
