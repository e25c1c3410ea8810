package data

import (
	"context"
	"encoding/binary"
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

// sortable is a row's place with its values of the keys, in one text that sorts as they
// do: the garbage collector walks through all that is held, again and again.
type sortable struct {
	at  stage.Place
	key string
}

func sortRows(ctx context.Context, env *stage.Env, c sortConfig, in sortIn, out sortOut) error {
	keys, err := c.compile()
	if err != nil {
		return err
	}
	var rows []sortable
	var held rowMemory
	var key []byte
	for row, err := range eachPlaced(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		key = key[:0]
		for i, k := range keys {
			if key, err = k.append(key, &row.Record); err != nil {
				return rowErr("by."+strconv.Itoa(i), &row.Record, err)
			}
		}
		if err := held.hold(len(key)); err != nil {
			return fmt.Errorf("%w: sort by shorter values, or work on parts of the data", err)
		}
		rows = append(rows, sortable{row.Place, string(key)})
	}
	for i, k := range keys {
		warnUnseen(env, "by."+strconv.Itoa(i), k.program, len(rows))
	}
	slices.SortStableFunc(rows, func(a, b sortable) int { return strings.Compare(a.key, b.key) })
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

// append appends the value of a row as bytes that sort as the values do.
func (k sortKey) append(dst []byte, row *schema.Problem) ([]byte, error) {
	v, err := k.program.Value(problemRow{row})
	if err != nil {
		return dst, err
	}
	n := len(dst)
	if dst = appendSortable(dst, v); len(dst) == n {
		return dst, errors.New("the expression gives a list or an object, which have no order; it must give a number, text, or true or false")
	}
	if k.desc {
		for i := range dst[n:] {
			dst[n+i] = ^dst[n+i]
		}
	}
	return dst, nil
}

// appendSortable appends a value as bytes, of which none are the beginning of those of
// another value, and nothing for a value that has no order.
func appendSortable(dst []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, 0)
	case bool:
		if x {
			return append(dst, 2)
		}
		return append(dst, 1)
	case int:
		return appendNumber(dst, float64(x), int64(x))
	case float64:
		switch {
		case math.IsNaN(x):
			return dst
		case x >= math.MaxInt64:
			return appendNumber(dst, x, math.MaxInt64)
		case x <= math.MinInt64:
			return appendNumber(dst, x, math.MinInt64)
		}
		return appendNumber(dst, x, int64(x))
	case string:
		dst = append(dst, 4)
		for i := range len(x) {
			if dst = append(dst, x[i]); x[i] == 0 {
				dst = append(dst, 0xff) // so that the end sorts before it
			}
		}
		return append(dst, 0, 0)
	}
	return dst
}

// appendNumber appends a number and its whole part, which tells apart large ones that are
// one float64. Both have their sign turned around, and of a negative f all bits.
func appendNumber(dst []byte, f float64, whole int64) []byte {
	bits := math.Float64bits(f + 0) // -0 is 0
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	dst = binary.BigEndian.AppendUint64(append(dst, 3), bits)
	return binary.BigEndian.AppendUint64(dst, uint64(whole)^1<<63)
}
