package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/distillflow/distillflow/internal/lm/hub"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/internal/base/paths"
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
		fmt.Fprintf(a.notes(), "distillflow: version %s wrote the lock, this is %s\n", l.Program, version)
	}
	return l, nil
}

// writeLock writes the lock of a run that is done.
func (a app) writeLock(ctx context.Context, allow trustFlags, g *graph.Graph, res *flow.Result) error {
	recipeFile := g.Recipe.File
	l, err := res.Lock(ctx, version)
	if err != nil {
		return err
	}
	changed, err := lock.Write(recipeFile, l)
	if err != nil {
		return err
	}
	if changed {
		fmt.Fprintf(a.notes(), "wrote %s\n", paths.Relative(lock.PathFor(recipeFile)))
	}
	if l, err = lock.Read(recipeFile); err != nil { // as a run that follows it will see it
		return err
	}
	return a.trustLock(ctx, allow, g, lockText(&flow.RunOptions{Locked: l}))
}

// movedTimeout bounds the question whether the Hub has moved on: it is asked for the
// user's information only.
const movedTimeout = 5 * time.Second

// sayMoved says which of a lock's names mean something newer on the Hub. It ignores
// names that it cannot ask about: the run follows the lock in any case.
func (a app) sayMoved(ctx context.Context, pins map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, movedTimeout)
	defer cancel()
	c, err := hub.New(hub.FromEnv(a.getenv))
	if err != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		locked, err := hub.Parse(pins[name], hub.Model)
		if err != nil {
			continue // not a name of the Hub
		}
		asked, err := hub.Parse(name, locked.Kind)
		if err != nil {
			continue
		}
		if now, err := c.Latest(ctx, asked); err == nil && now != locked.Revision {
			fmt.Fprintf(a.notes(), "distillflow: %s is now at %.12s on the Hub; the lock keeps %.12s (run --lock takes the newer one)\n", name, now, locked.Revision)
		}
	}
}
