package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

type sortConfig struct {
	By []string `json:"by" required:"true" doc:"Expressions over a row, the most important first. One that ends in desc puts the largest first: len(question) desc."`
}

// Validate compiles the expressions, so that mistakes show before anything runs.
func (c sortConfig) Validate() error {
	_, err := c.compile()
	return err
}

type sortKey struct {
	program *rowexpr.Program
	desc    bool
}

func (c sortConfig) compile() ([]sortKey, error) {
	if len(c.By) == 0 {
		return nil, stage.Invalid("by", "sort needs at least one expression")
	}
	list := make([]sortKey, len(c.By))
	for i, src := range c.By {
		src, desc := strings.CutSuffix(strings.TrimRight(src, " \t\n"), " desc")
		p, err := compile(src, problemFields, expr.Any, "by", strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		list[i] = sortKey{p, desc}
	}
	return list, nil
}

type sortIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type sortOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The same problems in the order asked for."`
}

// Sort orders rows by expressions.
var Sort = stage.Define(stage.Spec{
	Type: "sort", Version: 1, Class: stage.Pure,
	Doc: `Orders rows by expressions; rows that are equal in all of them keep their order.

` + exprFieldsDoc + `

Null comes first, then false, true, numbers and text. Text is ordered by its bytes.
The stage holds the values of the expressions in memory, at most 8 GiB.`,
}, sortRows)

// sortable is a row's place with its values of the keys.
type sortable struct {
	at   stage.Place
	keys []any
}

func sortRows(ctx context.Context, env *stage.Env, c sortConfig, in sortIn, out sortOut) error {
	keys, err := c.compile()
	if err != nil {
		return err
	}
	var rows []sortable
	var held rowMemory
	for row, err := range eachPlaced(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		x := sortable{at: row.Place, keys: make([]any, len(keys))}
		size := 0
		for i, k := range keys {
			if x.keys[i], err = k.value(&row.Record); err != nil {
				return rowErr("by."+strconv.Itoa(i), &row.Record, err)
			}
			if s, ok := x.keys[i].(string); ok {
				size += len(s)
			}
		}
		if err := held.hold(size); err != nil {
			return fmt.Errorf("%w: sort by shorter values, or work on parts of the data", err)
		}
		rows = append(rows, x)
	}
	for i, k := range keys {
		warnUnseen(env, "by."+strconv.Itoa(i), k.program, len(rows))
	}
	slices.SortStableFunc(rows, func(a, b sortable) int {
		for i, k := range keys {
			if d := compareValues(a.keys[i], b.keys[i]); d != 0 {
				if k.desc {
					return -d
				}
				return d
			}
		}
		return 0
	})
	if len(rows) == 0 {
		return nil
	}
	again, err := in.Rows.Open()
	if err != nil {
		return err
	}
	defer again.Close()
	for i, x := range rows {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := again.At(x.at)
		if err != nil {
			return err
		}
		if err := out.Rows.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (k sortKey) value(row *schema.Problem) (any, error) {
	v, err := k.program.Value(problemRow{row})
	if err == nil && rank(v) < 0 {
		err = errors.New("the expression gives a list or an object, which have no order; it must give a number, text, or true or false")
	}
	if s, ok := v.(string); ok {
		v = strings.Clone(s) // the text itself may hold its whole row in memory
	}
	return v, err
}

// rank orders values of different types; -1 is for what has no order.
func rank(v any) int {
	switch x := v.(type) {
	case nil:
		return 0
	case bool:
		if x {
			return 2
		}
		return 1
	case int:
		return 3
	case float64:
		if !math.IsNaN(x) {
			return 3
		}
	case string:
		return 4
	}
	return -1
}

func compareValues(a, b any) int {
	if d := cmp.Compare(rank(a), rank(b)); d != 0 {
		return d
	}
	switch x := a.(type) {
	case string:
		return strings.Compare(x, b.(string))
	case int:
		if y, ok := b.(int); ok {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(float64(x), b.(float64))
	case float64:
		if y, ok := b.(int); ok {
			return cmp.Compare(x, float64(y))
		}
		return cmp.Compare(x, b.(float64))
	}
	return 0
}
