package stagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
)

// checkShards runs a case of a type that works row by row in shards, and wants what one
// run gave: the same rows, and the same figures but for rates.
func checkShards(t *testing.T, typ *stage.Type, caseDir string, o options, want map[string]string) {
	t.Helper()
	if typ.RowByRow == "" || slices.Contains(o.onePiece, filepath.Base(caseDir)) {
		return
	}
	dir := t.TempDir()
	task, err := CaseTask(typ, caseDir, dir, o.seed)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := decodeConfig(typ, task)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Whole() != nil {
		return
	}
	reg, err := stage.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	o.svc.Warn = func(string) {} // each shard has its own
	rows, err := stage.CountLines(task.Inputs[typ.RowByRow][0].Path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := reg.Run(context.Background(), task, o.svc)
	last := 0
	for _, n := range []int{1, 2, 3, 7, 1000} {
		if sizes := stage.ShardSizes(rows, n); len(sizes) > last {
			last = len(sizes)
		} else {
			continue
		}
		shards, serr := runShards(reg, typ, task, dir, n, o.svc)
		if (err == nil) != (serr == nil) {
			t.Fatalf("in %d shards: %v; in one piece: %v", n, serr, err)
		}
		if err != nil {
			continue
		}
		if d := cmp.Diff(want, Collect(t, typ, task, nil)); d != "" {
			t.Fatalf("%d shards give other rows (-one piece +shards):\n%s", n, d)
		}
		near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b)) })
		if d := cmp.Diff(figuresOf(whole), figuresOf(shards), near); d != "" {
			t.Fatalf("%d shards count otherwise (-one piece +shards):\n%s", n, d)
		}
	}
}

// figuresOf is what a result counts, without what depends on time.
func figuresOf(r stage.Result) stage.Result {
	r.Stats = maps.Clone(r.Stats)
	delete(r.Stats, "calls_per_second")
	r.Incomplete, r.Means = "", nil
	return r
}

// runShards runs a task in n shards and puts the outputs together in its own.
func runShards(reg *stage.Registry, typ *stage.Type, task stage.Task, dir string, n int, svc stage.Services) (stage.Result, error) {
	input := task.Inputs[typ.RowByRow][0].Path
	rows, err := stage.CountLines(input)
	if err != nil {
		return stage.Result{}, err
	}
	sizes := stage.ShardSizes(rows, n)
	part := func(i int, name string) string { return filepath.Join(dir, fmt.Sprintf("shard-%d-%s", i, name)) }
	if err := stage.SplitLines(input, sizes, func(i int) (io.WriteCloser, error) { return os.Create(part(i, "in")) }); err != nil {
		return stage.Result{}, err
	}
	for _, path := range task.Outputs {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return stage.Result{}, err
		}
	}
	var results []stage.Result
	for i := range sizes {
		one := task
		one.Shard, one.Shards, one.WorkDir = i+1, len(sizes), part(i, fmt.Sprint("work-of-", n))
		one.Inputs = maps.Clone(task.Inputs)
		one.Inputs[typ.RowByRow] = []stage.Input{{Path: part(i, "in"), Label: task.Inputs[typ.RowByRow][0].Label}}
		one.Outputs = map[string]string{}
		for port := range task.Outputs {
			one.Outputs[port] = part(i, "out-"+port)
		}
		res, err := reg.Run(context.Background(), one, svc)
		if err != nil {
			return res, err
		}
		results = append(results, res)
		for port, path := range one.Outputs {
			b, err := os.ReadFile(path)
			if err != nil {
				return res, err
			}
			f, err := os.OpenFile(task.Outputs[port], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				return res, err
			}
			_, err = f.Write(b)
			if err := errors.Join(err, f.Close()); err != nil {
				return res, err
			}
		}
	}
	return stage.Merge(results), nil
}
