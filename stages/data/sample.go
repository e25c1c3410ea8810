package data

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

type sampleConfig struct {
	N        int     `json:"n" default:"0" min:"0" doc:"How many rows to take; all where there are fewer."`
	Fraction float64 `json:"fraction" default:"0" min:"0" max:"1" doc:"Instead of n: the chance of each row to be taken."`
	By       string  `json:"by" doc:"With n: an expression over a row; n rows are taken of each of its values."`
	Where    string  `json:"where" doc:"Expression over a row; only rows for which it is true take part. The others go to the port rest."`
}

// Validate checks what the field tags cannot say.
func (c sampleConfig) Validate() error {
	_, _, err := c.compile()
	return err
}

// Whole implements [stage.Whole]: n rows are chosen among all.
func (c sampleConfig) Whole() error {
	if c.N > 0 {
		return stage.Invalid("n", "takes rows among all of them; a fraction takes each row on its own")
	}
	return nil
}

func (c sampleConfig) compile() (by, where *rowexpr.Program, err error) {
	switch {
	case (c.N > 0) == (c.Fraction > 0):
		return nil, nil, stage.FieldError{Msg: "sample needs one of n and fraction, above 0"}
	case c.By != "" && c.N == 0:
		return nil, nil, stage.Invalid("by", "by goes with n; a fraction takes its share of every group anyway")
	}
	if c.By != "" {
		if by, err = compile(c.By, problemFields, expr.Any, "by"); err != nil {
			return nil, nil, err
		}
	}
	if c.Where != "" {
		if where, err = compile(c.Where, problemFields, expr.Bool, "where"); err != nil {
			return nil, nil, err
		}
	}
	return by, where, nil
}

type sampleIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type sampleOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The rows that were taken, in the order in which they came."`
	Rest *stage.Writer[schema.Problem] `port:"rest" doc:"The rows that were not."`
}

// Sample takes rows by chance.
var Sample = stage.Define(stage.Spec{
	Type: "sample", Version: 1, Class: stage.Seeded, RowByRow: "rows",
	Doc: `Takes n rows, or each row with a given chance.

Each row draws a number from the recipe's seed and its id. A row is taken when its
number is below fraction, or among the n smallest. So the choice does not depend
on the order of the rows, a larger sample contains a smaller one, and rows that
are added or removed change little of it. The stage holds the places of the n rows of
each group in memory; with a fraction it holds none.

` + exprFieldsDoc,
}, sample)

// draw gives a row's number in [0, 2^64). It is a hash, because a stream of random
// numbers would depend on the order of the rows.
func draw(salt, id string) uint64 {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(salt)) + ":" + salt + id))
	return binary.BigEndian.Uint64(sum[:8])
}

// share turns a row's number into one in [0, 1).
func share(n uint64) float64 { return float64(n>>11) / (1 << 53) }

// ticket is a row's number and place. Rows with one id have one number; the
// earlier goes first.
type ticket struct {
	number uint64
	row    int
}

func (t ticket) compare(o ticket) int {
	return cmp.Or(cmp.Compare(t.number, o.number), cmp.Compare(t.row, o.row))
}

// tickets is a heap with the largest ticket on top, for container/heap.
type tickets []ticket

func (t tickets) Len() int           { return len(t) }
func (t tickets) Less(i, j int) bool { return t[i].compare(t[j]) > 0 }
func (t tickets) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements [heap.Interface].
func (t *tickets) Push(x any) { *t = append(*t, x.(ticket)) }

// Pop implements [heap.Interface].
func (t *tickets) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// offer keeps the n smallest tickets.
func (t *tickets) offer(x ticket, n int) {
	switch {
	case len(*t) < n:
		heap.Push(t, x)
	case x.compare((*t)[0]) < 0:
		(*t)[0] = x
		heap.Fix(t, 0)
	}
}

func sample(ctx context.Context, env *stage.Env, c sampleConfig, in sampleIn, out sampleOut) error {
	by, where, err := c.compile()
	if err != nil {
		return err
	}
	salt := strconv.FormatUint(env.Rand("rows").Uint64(), 16)
	groups := map[string]*tickets{}
	n := 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		n++
		ok := true
		if where != nil {
			if ok, err = where.Bool(problemRow{&row}); err != nil {
				return rowErr("where", &row, err)
			}
		}
		t := ticket{draw(salt, row.ID), n - 1}
		if c.N == 0 {
			to := out.Rest
			if ok && share(t.number) < c.Fraction {
				to = out.Rows
			}
			if err := to.Write(row); err != nil {
				return err
			}
			continue
		}
		if !ok {
			continue
		}
		group, err := groupOf(by, &row)
		if err != nil {
			return rowErr("by", &row, err)
		}
		if groups[group] == nil {
			groups[group] = &tickets{}
		}
		groups[group].offer(t, c.N)
	}
	warnUnseen(env, "by", by, n)
	warnUnseen(env, "where", where, n)
	if c.N == 0 {
		return nil
	}
	taken := map[int]bool{}
	for _, g := range groups {
		for _, t := range *g {
			taken[t.row] = true
		}
	}
	if len(taken) < c.N {
		env.Warn("only %d of the %d rows asked for are there", len(taken), c.N)
	}
	return writeTaken(ctx, env, in, out, taken)
}

// writeTaken reads the rows again instead of holding them in memory.
func writeTaken(ctx context.Context, env *stage.Env, in sampleIn, out sampleOut, taken map[int]bool) error {
	i := -1
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		i++
		to := out.Rest
		if taken[i] {
			to = out.Rows
		}
		if err := to.Write(row); err != nil {
			return err
		}
	}
	return nil
}

// groupOf names the group that a row belongs to.
func groupOf(by *rowexpr.Program, row *schema.Problem) (string, error) {
	if by == nil {
		return "", nil
	}
	v, err := by.Value(problemRow{row})
	return fmt.Sprintf("%T %v", v, v), err
}
