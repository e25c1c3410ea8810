package data

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type samplePathsConfig struct{}

type samplePathsIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems with the paths to draw from."`
	Like stage.Rows[schema.Problem] `port:"like" doc:"Problems whose paths are counted."`
}

type samplePathsOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The rows of which paths were drawn, with these paths, in the order in which they came."`
}

// SamplePaths draws as many paths as there are elsewhere.
var SamplePaths = stage.Define(stage.Spec{
	Type: "sample-paths", Version: 1, Class: stage.Seeded,
	Doc: `Draws of each style as many paths as other rows have: the control of a filter.

A filter also makes the data smaller. What it is worth beyond that shows beside the
same number of paths, of the same styles, drawn by chance from what the filter read:

  kept:   {uses: filter, from: graded, with: {paths: correct}}
  chance: {uses: sample-paths, from: {rows: graded, like: kept}}

Each path draws a number from the recipe's seed, its row's id, its style and its
replicate, and those with the smallest numbers are taken, whatever their order.`,
}, samplePaths)

func samplePaths(ctx context.Context, env *stage.Env, _ samplePathsConfig, in samplePathsIn, out samplePathsOut) error {
	wanted := map[string]int{} // by style
	for row, err := range each(ctx, env, in.Like) {
		if err != nil {
			return err
		}
		for _, p := range row.Paths {
			wanted[p.Style]++
		}
	}
	salt := strconv.FormatUint(env.Rand("paths").Uint64(), 16)
	drawn := map[string]*tickets{}
	for style := range wanted {
		drawn[style] = &tickets{}
	}
	n := 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		for _, p := range row.Paths {
			if t := drawn[p.Style]; t != nil {
				key := strconv.Itoa(len(row.ID)) + ":" + row.ID + strconv.Itoa(p.Replicate) + ":" + p.Style
				t.offer(ticket{draw(salt, key), n}, wanted[p.Style])
			}
			n++
		}
	}
	taken := map[int]bool{}
	for _, style := range slices.Sorted(maps.Keys(wanted)) {
		for _, t := range *drawn[style] {
			taken[t.row] = true
		}
		if have := len(*drawn[style]); have < wanted[style] {
			env.Warn("only %d of the %d paths of style %s are there", have, wanted[style], style)
		}
	}
	n = 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		var paths []schema.Path
		for _, p := range row.Paths {
			if taken[n] {
				paths = append(paths, p)
			}
			n++
		}
		if len(paths) == 0 {
			continue
		}
		row.Paths = paths
		if err := out.Rows.Write(row); err != nil {
			return err
		}
	}
	return nil
}
