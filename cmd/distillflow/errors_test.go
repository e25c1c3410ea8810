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

// The type of an error does not cross the border of a process; what decides about the
// exit status does. A crash is none of it, whatever its status.
func TestExitStatusOfAWorker(t *testing.T) {
	_, budget := job.Message{Error: "stopped", Budget: true}.Outcome()
	_, other := job.Message{Error: "stopped"}.Outcome()
	for want, errs := range map[int][]error{
		exitBudget: {other, budget}, // of two stages
		exitFailed: {other, &job.Error{Msg: "it crashed", ExitCode: exitBudget}},
	} {
		var all *multierror.Error
		for _, err := range errs {
			all = multierror.Append(all, &exec.StageError{Stage: "a", Err: err})
		}
		if got := exitStatus(context.Background(), all); got != want {
			t.Errorf("%v gives %d, want %d", errs, got, want)
		}
	}
}
