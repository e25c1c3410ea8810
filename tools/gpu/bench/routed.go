package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/distillflow/distillflow/flow/event"
)

// routedStage is the stage of routed.yaml that trains.
const routedStage = "pair"

// readRouted fills r from the events of a run of routed.yaml. A run that was stopped tells
// of the steps that it took.
func readRouted(file string, r *result) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var last time.Time
	var took []float64
	tokens, done := 0.0, false // of a step, real ones
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if e.Kind == event.StageFailed {
			return fmt.Errorf("stage %s: %s", e.Stage, e.Error)
		}
		if e.Stage != routedStage {
			continue
		}
		switch e.Kind {
		case event.StageStarted:
			last = e.Time
		case event.StageProgress:
			loss := 0.0
			for _, v := range e.Values {
				loss += v / float64(len(e.Values))
			}
			if took == nil {
				r.FirstLoss = loss
			}
			r.LastLoss = loss
			took = append(took, e.Time.Sub(last).Seconds())
			last = e.Time
		case event.StageDone:
			tokens, done = e.Values["tokens_per_second"]/e.Values["steps_per_second"], true
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if took == nil {
		return errors.New("no step was taken")
	}
	first := took[0] // loads and compiles
	slices.Sort(took)
	r.StepSeconds = took[len(took)/2]
	r.CompileSeconds = first - r.StepSeconds
	r.TokensPerSec = tokens / r.StepSeconds
	r.Note = fmt.Sprintf("%d steps", len(took))
	if !done {
		return fmt.Errorf("stopped after %d steps", len(took))
	}
	return nil
}
