package stagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

// checkEstimate wants the rows that a stage told before a case to be true of what the
// case gave: with the input at hand, with its number of rows only, and with nothing.
func checkEstimate(t *testing.T, typ *stage.Type, caseDir string, got map[string]string) {
	t.Helper()
	if _, failed := got["error.txt"]; failed {
		return
	}
	task, err := CaseTask(typ, caseDir, t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := decodeConfig(typ, task)
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Estimates() {
		if keepsRecords(typ) {
			t.Errorf("%s turns rows into rows, but its config has no method Estimate: plan could tell no numbers of rows behind it (see stage.Estimator)", typ.Type)
		}
		return
	}
	for name, known := range map[string]func(path string, rows float64) stage.Expected{
		"the rows":     func(p string, n float64) stage.Expected { return stage.Expected{Path: p, Rows: stage.Exactly(n)} },
		"their number": func(_ string, n float64) stage.Expected { return stage.Expected{Rows: stage.Exactly(n)} },
		"a range of them": func(_ string, n float64) stage.Expected {
			return stage.Expected{Rows: &stage.Range{Min: n / 2, Max: 2 * n}}
		},
		"nothing": func(string, float64) stage.Expected { return stage.Expected{} },
	} {
		q := stage.Question{Inputs: map[string][]stage.Expected{}}
		for port, inputs := range task.Inputs {
			for _, in := range inputs {
				n, err := rowsOf(in)
				if err != nil { // a folder
					q.Inputs[port] = append(q.Inputs[port], stage.Expected{})
					continue
				}
				q.Inputs[port] = append(q.Inputs[port], known(in.Path, float64(n)))
			}
		}
		e, err := cfg.Estimate(context.Background(), q)
		if err != nil {
			t.Errorf("estimating from %s: %v", name, err)
			continue
		}
		for _, p := range typ.Outputs {
			if r := e.Rows[p.Name]; r != nil && p.Kind == stage.RowsPort {
				rows := float64(strings.Count(got[p.Name+".out.jsonl"], "\n"))
				if rows < r.Min || rows > r.Max {
					t.Errorf("output %s has %g rows; estimated from %s: %g to %g", p.Name, rows, name, r.Min, r.Max)
				}
			}
		}
	}
}

// keepsRecords reports whether a stage has an output of the same records as an
// input.
func keepsRecords(typ *stage.Type) bool {
	for _, in := range typ.Inputs {
		for _, out := range typ.Outputs {
			if in.Kind == stage.RowsPort && out.Kind == stage.RowsPort && in.Record == out.Record {
				return true
			}
		}
	}
	return false
}

func rowsOf(in stage.Input) (int64, error) {
	return stage.RowsFrom[anyRow](in.Path, in.Label).Count()
}

// anyRow stands for a row of any type; it is only counted.
type anyRow struct{}

// RecordType implements [stage.Record].
func (anyRow) RecordType() string { return fmt.Sprintf("%T", anyRow{}) }

// decodeConfig gives the config of a task.
func decodeConfig(typ *stage.Type, task stage.Task) (*stage.Config, error) {
	var tree any
	if err := json.Unmarshal(task.Config, &tree); err != nil {
		return nil, err
	}
	cfg, errs := typ.Decode(tree)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return cfg, nil
}
