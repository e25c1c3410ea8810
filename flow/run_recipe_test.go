package flow_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
)

// A run's folder holds the recipe as the run read it, and while the run lives its
// events and how far its stages are.
func TestRunRecipe(t *testing.T) {
	b := newBench(t, `
name: toy
description: Words.
params: {suffix: "-x", huge: .inf}
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, with: {suffix: "${{ params.suffix }}"}}
  c: {uses: join, from: [a, b]}
`)
	b.eng.Program = "9.9"
	st, err := store.Open(b.path(".distillflow"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var id string
	var live map[string]event.Event
	var flushed string
	look := func(e event.Event) {
		switch {
		case e.Kind == event.RunStarted:
			id = e.Run
		case e.Kind == event.StageStarted && e.Stage == "c": // b is done, and has told its progress
			raw, err := os.ReadFile(filepath.Join(st.RunDir(id), "events.jsonl"))
			if err != nil {
				t.Error(err)
			}
			flushed = string(raw)
		case e.Kind == event.StageDone && e.Stage == "b":
			if live, err = flow.ReadProgress(st, id); err != nil {
				t.Error(err)
			}
		}
	}
	_, res, err := b.run(flow.RunOptions{Sink: look})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(flushed, `"kind":"stage_done"`) {
		t.Errorf("while the run lives its events are %q", flushed)
	}
	if live["b"].Kind != event.StageProgress {
		t.Errorf("progress while b runs: %v", live)
	}
	if left, err := flow.ReadProgress(st, res.ID); err != nil || len(left) > 0 {
		t.Errorf("progress after the run: %v, %v", left, err)
	}

	r, err := flow.ReadRunRecipe(st, res.ID)
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Machine; m.Program != "9.9" || m.Go == "" || m.Platform == "" || m.CPUs < 1 {
		t.Errorf("machine %+v", m)
	}
	r.Machine = flow.Machine{}
	want := &flow.RunRecipe{
		Name: "toy", Description: "Words.", Files: []string{b.path("recipe.yaml")},
		Params: []flow.RunParam{
			{Name: "suffix", Value: []byte(`"-x"`), Origin: "default"},
			{Name: "huge", Value: []byte(`"+Inf"`), Origin: "default"},
		},
		Stages: []flow.RunStage{
			{Name: "a", Type: "read", With: []byte(`{"file":"words.txt"}`)},
			{Name: "b", Type: "map", With: []byte(`{"suffix":"-x"}`), Inputs: []flow.RunInput{{Port: "words", Stage: "a", Output: "words"}}},
			{Name: "c", Type: "join", Inputs: []flow.RunInput{{Port: "words", Stage: "a", Output: "words"}, {Port: "words", Stage: "b", Output: "words"}}},
		},
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}

	// A run of an older program noted nothing.
	if err := os.Remove(filepath.Join(st.RunDir(res.ID), "recipe.json")); err != nil {
		t.Fatal(err)
	}
	if r, err := flow.ReadRunRecipe(st, res.ID); r != nil || err != nil {
		t.Errorf("without recipe.json: %v, %v", r, err)
	}
}
