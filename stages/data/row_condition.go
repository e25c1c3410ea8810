package data

import (
	"errors"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

// Condition is a row expression for tools that look at published rows. Of problems it
// sees what filter's where sees; of other records, their fields.
type Condition struct {
	program *rowexpr.Program
	problem bool
}

// NewCondition compiles an expression over rows of a record type. fields are the names
// that such rows are known to have, which slips in names are told by; problems need none.
// The error is a *[expr.Error].
func NewCondition(record, src string, fields []string) (*Condition, error) {
	c := &Condition{problem: record == schema.Problem{}.RecordType()}
	known := problemFields
	if !c.problem {
		known = rowexpr.Fields{}
		for _, f := range fields {
			known[f] = rowexpr.Any
		}
	}
	var err error
	c.program, err = rowexpr.Compile(src, known, expr.Bool)
	return c, err
}

// Holds evaluates the expression for a row in JSON.
func (c *Condition) Holds(line []byte) (bool, error) {
	if !c.problem {
		root := gjson.ParseBytes(line)
		if !root.IsObject() {
			return false, errors.New("the row is not a JSON object")
		}
		return c.program.Bool(jsonRow{root})
	}
	var p schema.Problem
	if err := p.UnmarshalJSON(line); err != nil {
		return false, err
	}
	return c.program.Bool(problemRow{&p})
}

// Uses lists the row's fields that the expression uses.
func (c *Condition) Uses() []string { return c.program.Uses() }

// Unseen tells of fields that no row had so far, which are most often misspelt.
func (c *Condition) Unseen() []string {
	var out []string
	for _, u := range c.program.Unseen() {
		out = append(out, u.String())
	}
	return slices.Clip(out)
}

// jsonRow shows any record to an expression.
type jsonRow struct{ gjson.Result }

// Field implements [rowexpr.Row].
func (r jsonRow) Field(name string) (any, bool) {
	v := member(r.Result, name)
	return rowexpr.FromJSON(v), v.Exists()
}
