//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/stages/analyze"
	"github.com/distillflow/distillflow/stages/data"
	"github.com/distillflow/distillflow/stages/evaluate"
	"github.com/distillflow/distillflow/stages/prompt"
)

// Those of stages/train all need a model.
func types() []*stage.Type {
	return slices.Concat(data.Stages(), evaluate.Stages(), prompt.Stages(), analyze.Stages())
}

// The test's binary stands in for the program: its workers run here.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == verdicts {
		sayCorrect(os.Stdin, os.Stdout)
		return
	}
	if len(os.Args) == 3 && (os.Args[1] == "worker" || os.Args[1] == "stages") {
		if err := program(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func program(command, arg string) error {
	reg, err := stage.NewRegistry(types()...)
	if err != nil {
		return err
	}
	if command == "worker" {
		return job.Work(context.Background(), job.Folder(arg), reg, stage.Services{})
	}
	t, ok := reg.Lookup(arg)
	if !ok {
		return fmt.Errorf("no type %s", arg)
	}
	fmt.Printf("%s (version %d, pure)\n", arg, t.Version)
	return nil
}

// Every stage type that asks no model has a step, and every step works.
func TestSteps(t *testing.T) {
	asks := []string{"batch-llm", "judge"}
	var wanted, uses []string
	for _, s := range steps(1, 1) {
		uses = append(uses, s.uses)
		if s.recipe == "" { // recipes need the whole program
			wanted = append(wanted, s.name)
		}
	}
	for _, typ := range types() {
		if slices.Contains(asks, typ.Type) == slices.Contains(uses, typ.Type) {
			t.Errorf("%s: want either a step or a place among those that ask a model", typ.Type)
		}
	}
	const n = 40
	b := bench{program: os.Args[0], dir: t.TempDir() + "/data", wanted: wanted, versions: map[string]int{}}
	measured := map[string]cost{}
	if err := b.run(n, func(name string, c cost) { measured[name] = c }); err != nil {
		t.Fatal(err)
	}
	for _, s := range steps(1, 1) {
		if c := measured[s.name]; s.uses != "" && (c.cpu <= 0 || c.wall <= 0 || c.rss < 1<<20 || c.written <= 0) {
			t.Errorf("%s: %+v", s.name, c)
		}
	}
	left, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if f.Name() != "work" {
			t.Errorf("%s is left, which no step reads", f.Name())
		}
	}
}
