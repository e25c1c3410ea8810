package data

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type concatConfig struct {
	Duplicates string `json:"duplicates" default:"error" choices:"error|keep|first" doc:"What to do with a row whose id came before: stop, keep both, or keep the first."`
}

type concatIn struct {
	Rows []stage.Rows[schema.Problem] `port:"rows" doc:"Problems of several stages."`
}

type concatOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"All of them, source after source."`
}

// Concat puts rows of several stages one after the other.
var Concat = stage.Define(stage.Spec{
	Type: "concat", Version: 1, Class: stage.Pure,
	Doc: `Puts the rows of several stages one after the other, in the order of from.

Ids are what later stages know a row by, so that one id for two rows is an error
unless the field duplicates says otherwise.`,
}, concat)

func concat(ctx context.Context, env *stage.Env, c concatConfig, in concatIn, out concatOut) error {
	return concatWithin(ctx, env, c, in, out, idLimit)
}

// concatWithin holds up to limit ids in memory.
func concatWithin(ctx context.Context, env *stage.Env, c concatConfig, in concatIn, out concatOut, limit int) (err error) {
	scratch := scratchIn(env.WorkDir)
	ids := newIDIndex(limit, scratch)
	defer func() { err = errors.Join(err, ids.close()) }()
	copies := copyCounter{limit: limit, scratch: scratch, all: func(add func(string) error) error {
		return in.each(ctx, func(_ int, _ uint64, row *schema.Problem) error { return add(row.ID) })
	}}
	sources := make([]uint64, 0, len(in.Rows)) // the first row of each, from 1
	dropped := 0
	err = in.each(ctx, func(source int, n uint64, row *schema.Problem) error {
		for len(sources) <= source {
			sources = append(sources, n)
		}
		if n%1024 == 0 {
			env.Progress(stage.Progress{Done: int64(n), Unit: "rows"})
		}
		switch c.Duplicates {
		case "error":
			first, twice, err := ids.add(keyOf(row.ID), n)
			if err == nil && twice {
				err = takenIn(sources, row.ID, first, n)
			}
			if err != nil {
				return err
			}
		case "first":
			nth, err := copies.next(row.ID)
			if err != nil {
				return err
			}
			if nth > 1 {
				dropped++
				return nil
			}
		}
		return out.Rows.Write(*row)
	})
	if err != nil {
		return err
	}
	if err := ids.firstRepeat(func(first, second uint64) error {
		return in.each(ctx, func(_ int, n uint64, row *schema.Problem) error {
			if n == second {
				return takenIn(sources, row.ID, first, second)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	if dropped > 0 {
		env.AddStat("duplicates", float64(dropped))
		env.Warn("%d rows were left out, because their id came before", dropped)
	}
	return nil
}

// each hands on all rows with the source they come from, from 0, and their
// number, from 1.
func (in concatIn) each(ctx context.Context, do func(source int, n uint64, row *schema.Problem) error) error {
	n := uint64(0)
	for i, rows := range in.Rows {
		for row, err := range rows.All() {
			if err != nil {
				return err
			}
			if n++; n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := do(i, n, &row); err != nil {
				return err
			}
		}
	}
	return nil
}

// takenIn names the sources of two rows with one id; sources holds the number of
// the first row of each.
func takenIn(sources []uint64, id string, first, second uint64) error {
	source := func(n uint64) int {
		i, _ := slices.BinarySearch(sources, n+1) // the sources that begin at or before n
		return i
	}
	return fmt.Errorf("id %q occurs in source %d of concat and again in source %d: rename it there, or set duplicates: first or duplicates: keep", id, source(first), source(second))
}
