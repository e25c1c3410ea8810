package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-multierror"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
)

func TestEveryErrorIsPrinted(t *testing.T) {
	stages := multierror.Append(nil, &exec.StageError{Stage: "a", Err: errors.New("no")}, &exec.StageError{Stage: "b", Err: errors.New("neither")})
	err := errors.Join(errors.Join(errors.New("stopped"), stages), fmt.Errorf("closing %w: %w", errors.New("x"), errors.New("full")))
	var b bytes.Buffer
	app{err: &b}.printError(err)
	want := `distillflow: stopped
distillflow: stage a: no
distillflow: stage b: neither
distillflow: closing x: full
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

// The type of an error does not cross the border of a process; the exit status
// of the worker does.
func TestExitStatusOfAWorker(t *testing.T) {
	for code, want := range map[int]int{exitBudget: exitBudget, exitFailed: exitFailed, -1: exitFailed} {
		err := multierror.Append(nil, &exec.StageError{Stage: "a", Err: &job.Error{Msg: "stopped", ExitCode: code}})
		if got := exitStatus(context.Background(), err); got != want {
			t.Errorf("a worker's %d gives %d, want %d", code, got, want)
		}
	}
}

func TestWithValues(t *testing.T) {
	for text, want := range map[string]any{
		"2020-01-01": "2020-01-01", "": nil, "3": 3, "1.5": 1.5, "yes": "yes", "true": true, "'3'": "3",
		"{1: 2020-01-01, b: [x, null]}": map[string]any{"1": "2020-01-01", "b": []any{"x", nil}},
	} {
		got, err := yamlTree(text)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	if _, err := yamlTree("*a"); err == nil {
		t.Error("an unknown alias is taken")
	}
}
