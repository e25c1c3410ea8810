package main

import (
	"os"
	"testing"
)

// TestStagesPageIsCurrent keeps the reference of stages equal to what the stage types say;
// `go generate ./cmd/distillflow` renews it.
func TestStagesPageIsCurrent(t *testing.T) {
	status, want := runApp(t, nil, "stages", "--format", "md")
	if status != exitOK {
		t.Fatalf("status %d\n%s", status, want)
	}
	got, err := os.ReadFile("../../docs/stages.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/stages.md is stale: run `go generate ./cmd/distillflow`")
	}
}
