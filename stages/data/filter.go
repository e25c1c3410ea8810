package data

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

type filterConfig struct {
	Where string `json:"where" doc:"Expression over a row; rows for which it is true are kept. With paths, it sees the paths that were kept."`
	Paths string `json:"paths" doc:"Expression over one path; paths for which it is true are kept. It sees the path's fields, and the row's as row.question and so on."`
	Empty string `json:"empty" default:"drop" choices:"drop|keep" doc:"What to do with a row that has no path left."`
}

// Validate compiles the expressions, so that mistakes show before anything runs.
func (c filterConfig) Validate() error {
	_, _, err := c.compile()
	return err
}

func (c filterConfig) compile() (where, paths *rowexpr.Program, err error) {
	if c.Where == "" && c.Paths == "" {
		return nil, nil, stage.FieldError{Msg: "filter needs where or paths: an expression that says what is kept"}
	}
	if c.Where != "" {
		if where, err = compile(c.Where, problemFields, expr.Bool, "where"); err != nil {
			return nil, nil, err
		}
	}
	if c.Paths != "" {
		if paths, err = compile(c.Paths, pathRowFields, expr.Bool, "paths"); err != nil {
			return nil, nil, err
		}
	}
	return where, paths, nil
}

type filterIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type filterOut struct {
	Rows    *stage.Writer[schema.Problem] `port:"rows" doc:"The rows that were kept, with the paths that were kept."`
	Dropped *stage.Writer[schema.Problem] `port:"dropped" doc:"The other rows, as they came, and the rows that were kept with the paths that were not."`
}

// Filter keeps rows and paths by expressions.
var Filter = stage.Define(stage.Spec{
	Type: "filter", Version: 1, Class: stage.Pure, RowByRow: "rows",
	Doc: `Keeps the rows, and of rows the reasoning paths, for which an expression is true.

` + exprFieldsDoc + `

Examples:
  where: len(question) < 500 and task == "gsm8k"
  where: count(paths, .correct) >= 2
  paths: correct and style != "plain"
  paths: pred == row.gold_answer
An expression that fails for a row, such as a number compared with null, ends the
stage with the row's id.`,
}, filter)

func filter(ctx context.Context, env *stage.Env, c filterConfig, in filterIn, out filterOut) error {
	where, paths, err := c.compile()
	if err != nil {
		return err
	}
	seen, seenPaths := 0, 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		seen++
		seenPaths += len(row.Paths)
		kept, lost, err := filterPaths(paths, row)
		if err != nil {
			return err
		}
		keep := paths == nil || c.Empty == "keep" || len(kept.Paths) > 0
		if keep && where != nil {
			if keep, err = where.Bool(problemRow{&kept}); err != nil {
				return rowErr("where", &row, err)
			}
		}
		switch {
		case !keep:
			err = out.Dropped.Write(row)
		case len(lost.Paths) > 0:
			if err = out.Dropped.Write(lost); err == nil {
				err = out.Rows.Write(kept)
			}
		default:
			err = out.Rows.Write(kept)
		}
		if err != nil {
			return err
		}
	}
	warnUnseen(env, "where", where, seen)
	warnUnseen(env, "paths", paths, seenPaths)
	return nil
}

// filterPaths splits a row by its paths. Without an expression all are kept.
func filterPaths(keep *rowexpr.Program, row schema.Problem) (kept, lost schema.Problem, err error) {
	if keep == nil {
		return row, schema.Problem{}, nil
	}
	kept, lost = row, row
	if row.Paths == nil { // never had any, which is not the same as none left
		return kept, lost, nil
	}
	kept.Paths, lost.Paths = []schema.Path{}, nil
	for i := range row.Paths {
		ok, err := keep.Bool(pathRow{&row.Paths[i], &row})
		if err != nil {
			return kept, lost, rowErr("paths", &row, err)
		}
		if ok {
			kept.Paths = append(kept.Paths, row.Paths[i])
		} else {
			lost.Paths = append(lost.Paths, row.Paths[i])
		}
	}
	return kept, lost, nil
}
