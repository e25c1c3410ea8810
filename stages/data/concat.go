package data

import (
	"context"
	"fmt"

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
	var ids idSet[int] // the source of each, counted from 1
	dropped := 0
	for i, rows := range in.Rows {
		for row, err := range each(ctx, env, rows) {
			if err != nil {
				return err
			}
			if c.Duplicates != "keep" {
				first, twice, err := ids.add(row.ID, i+1)
				if err != nil {
					return fmt.Errorf("%w, or set duplicates: keep", err)
				}
				if twice && c.Duplicates == "first" {
					dropped++
					continue
				}
				if twice {
					return fmt.Errorf("id %q occurs in source %d of concat and again in source %d: rename it there, or set duplicates: first or duplicates: keep", row.ID, first, i+1)
				}
			}
			if err := out.Rows.Write(row); err != nil {
				return err
			}
		}
	}
	if dropped > 0 {
		env.AddStat("duplicates", float64(dropped))
		env.Warn("left out %d rows, because their id came before", dropped)
	}
	return nil
}
