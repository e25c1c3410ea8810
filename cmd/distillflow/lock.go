package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/lock"
)

// readLock reads the lock beside a recipe.
func (a app) readLock(recipeFile string) (*lock.Recipe, error) {
	l, err := lock.Read(recipeFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("--locked: %w\n`distillflow run --lock %s` makes one", err, recipeFile)
	}
	if err != nil {
		return nil, usageError{err}
	}
	if l.Program != version {
		// Results depend on the versions of the stage types, which are checked.
		fmt.Fprintf(a.err, "distillflow: the lock was written by version %s, this is %s\n", l.Program, version)
	}
	return l, nil
}

// writeLock writes the lock of a run that is done.
func (a app) writeLock(ctx context.Context, recipeFile string, res *flow.Result) error {
	l, err := res.Lock(ctx, version)
	if err != nil {
		return err
	}
	changed, err := lock.Write(recipeFile, l)
	if err != nil {
		return err
	}
	if changed {
		fmt.Fprintf(a.err, "wrote %s\n", relative(lock.PathFor(recipeFile)))
	}
	return nil
}
