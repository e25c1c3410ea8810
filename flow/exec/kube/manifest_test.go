package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	yamlv4 "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"
)

// The whole description of a job, as a person would read it. Renew it with
// DISTILLFLOW_UPDATE=1.
func TestManifest(t *testing.T) {
	s := Settings{Image: "registry.example/distillflow:1", Namespace: "lab", Binary: "/bin/distillflow", ServiceAccount: "runner",
		Secrets: []string{"teacher-keys"}, Env: map[string]string{"HF_ENDPOINT": "https://hub.example"}, ImagePullSecrets: []string{"pull"},
		Volumes: []Volume{{"models", "/models", true}}, CPUs: 2, Memory: "8Gi", NodeSelector: map[string]string{"gpu": "a100"},
		Tolerations: []Toleration{{Key: "gpu", Effect: "NoSchedule"}}, Labels: map[string]string{"team": "nlp"}, Queue: "team", Parallelism: 2, TTL: time.Hour}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	r := newRunner(s, nil, "s3://bucket/path", nil, nil)
	r.store = "abc"
	got, err := yaml.Marshal(r.manifest("df-1", needs{cpus: 1.5, memory: 4e9, gpus: 2}, []string{"train[seed=1]", "train[seed=2]", "train[seed=3]"}))
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "job.yaml")
	if os.Getenv("DISTILLFLOW_UPDATE") != "" {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
}

func TestSettings(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                   "image is missing",
		"{image: a, env: {OPENAI_API_KEY: x}}": "under secrets",
		"{image: a, memory: lots}":             "such as 8Gi",
		"{image: a, volumes: [{claim: c, path: rel}]}": "absolute path",
		"{image: a, cpus: -1}":                         "not negative",
		"{image: a}":                                   "",
	} {
		var s Settings
		if err := yamlv4.Load([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		err := s.check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// What the pods do not mount they do not see.
func TestReaches(t *testing.T) {
	r := newRunner(Settings{Volumes: []Volume{{"models", "/models", true}}}, nil, "", nil, nil)
	for path, want := range map[string]bool{"/models": true, "/models/a/b": true, "/models2": false, "/elsewhere/data": false} {
		if r.Reaches(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
