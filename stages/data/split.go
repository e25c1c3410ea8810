package data

import (
	"context"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

type splitConfig struct {
	Test float64 `json:"test" default:"0.1" min:"0" max:"1" doc:"Share of the rows that go to the port test."`
	Dev  float64 `json:"dev" default:"0" min:"0" max:"1" doc:"Share of the rows that go to the port dev. The others go to train."`
	By   string  `json:"by" doc:"Expression over a row: rows that agree in it stay together, such as variants of one question. Without it each row is a group of its own."`
	Salt string  `json:"salt" doc:"Any text; another one gives another split."`
}

// Validate checks what the field tags cannot say.
func (c splitConfig) Validate() error {
	if c.Test+c.Dev > 1 {
		return stage.Invalid("test", "test and dev together are more than 1: %v + %v", c.Test, c.Dev)
	}
	_, err := c.compile()
	return err
}

func (c splitConfig) compile() (*rowexpr.Program, error) {
	if c.By == "" {
		return nil, nil
	}
	return compile(c.By, problemFields, expr.Any, "by")
}

type splitIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type splitOut struct {
	Train *stage.Writer[schema.Problem] `port:"train" doc:"The rows that are in neither of the others."`
	Dev   *stage.Writer[schema.Problem] `port:"dev" doc:"Rows for choosing settings."`
	Test  *stage.Writer[schema.Problem] `port:"test" doc:"Rows for the final measurement."`
}

// Split divides rows by a hash of their id.
var Split = stage.Define(stage.Spec{
	Type: "split", Version: 1, Class: stage.Pure, RowByRow: "rows",
	Doc: `Divides rows into train, dev and test by a hash of their id.

A row's part depends on its id, the salt and the shares only: not on the order or
number of the rows, and not on the recipe's seed, so that a run with another seed
is still measured on the same problems. When test grows, its rows stay in it. The
sizes follow the shares up to chance; sample takes exact numbers.

` + exprFieldsDoc,
}, split)

func split(ctx context.Context, env *stage.Env, c splitConfig, in splitIn, out splitOut) error {
	by, err := c.compile()
	if err != nil {
		return err
	}
	n := 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		n++
		key := row.ID
		if by != nil {
			if key, err = groupOf(by, &row); err != nil {
				return rowErr("by", &row, err)
			}
		} else if key == "" {
			return fmt.Errorf("row %d has no id: split by an expression, or give the rows ids", n)
		}
		to := out.Train
		// Test has the low end and dev the high one, so that neither moves when
		// the other grows.
		switch x := share(draw("split "+c.Salt, key)); {
		case x < c.Test:
			to = out.Test
		case x >= 1-c.Dev:
			to = out.Dev
		}
		if err := to.Write(row); err != nil {
			return err
		}
	}
	warnUnseen(env, "by", by, n)
	return nil
}
