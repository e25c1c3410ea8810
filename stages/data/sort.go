package data

import (
	"cmp"
	"context"
	"errors"
	"math"
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
More than some 32 MB of rows are sorted in parts on disk, which are then merged.`,
}, sortRows)

// sortMemory is how many bytes of rows, as JSON, are sorted in memory; decoded and
// with their keys they take some three times as much.
const sortMemory = 32 << 20

func sortRows(ctx context.Context, env *stage.Env, c sortConfig, in sortIn, out sortOut) error {
	return sortWithin(ctx, env, c, in, out, sortMemory)
}

// sortWithin holds up to limit bytes of rows in memory.
func sortWithin(ctx context.Context, env *stage.Env, c sortConfig, in sortIn, out sortOut, limit int) (err error) {
	keys, err := c.compile()
	if err != nil {
		return err
	}
	s := sorter{keys: keys, dir: env.WorkDir}
	defer func() { err = errors.Join(err, s.close()) }()
	n, held := 0, 0
	for row, err := range in.Rows.All() {
		if err != nil {
			return err
		}
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		size, err := s.add(row)
		if err != nil {
			return err
		}
		if held += size; held >= limit {
			if err := s.spill(ctx); err != nil {
				return err
			}
			held = 0
		}
	}
	for i, k := range keys {
		warnUnseen(env, "by."+strconv.Itoa(i), k.program, n)
	}
	return s.each(ctx, out.Rows.Write)
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
