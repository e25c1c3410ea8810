package data

import (
	"context"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type joinConfig struct {
	How      string   `json:"how" default:"inner" choices:"inner|left" doc:"inner keeps the rows that with has too; left keeps all rows; one without a partner stays as it is."`
	Fields   []string `json:"fields" doc:"The fields to take from with; paths adds its paths after those of the row. Without fields: every field that the row lacks, but no paths."`
	Conflict string   `json:"conflict" default:"error" choices:"error|rows|with" doc:"Whose value counts where a field named under fields differs: stop, that of rows, or that of with."`
}

// Validate checks what the field tags cannot say.
func (c joinConfig) Validate() error {
	for i, f := range c.Fields {
		if f == "id" {
			return stage.FieldError{Path: []string{"fields", fmt.Sprint(i)}, Msg: "id is what rows are joined on, so both have it already"}
		}
		if slices.Contains(c.Fields[:i], f) {
			return stage.FieldError{Path: []string{"fields", fmt.Sprint(i)}, Msg: fmt.Sprintf("%q is listed twice", f)}
		}
	}
	return nil
}

type joinIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems; their order is kept."`
	With stage.Rows[schema.Problem] `port:"with" doc:"Problems to take fields from."`
}

type joinOut struct {
	Rows      *stage.Writer[schema.Problem] `port:"rows" doc:"The joined problems."`
	Unmatched *stage.Writer[schema.Problem] `port:"unmatched" doc:"Rows without a partner in with, as they came."`
}

// Join takes fields of rows from other rows with the same id.
var Join = stage.Define(stage.Spec{
	Type: "join", Version: 1, Class: stage.Pure,
	Doc: `Takes fields of rows from other rows with the same id, such as the labels of another
tool, or the paths of a second teacher.

Two rows of with must not have one id; two of rows may. The stage counts the rows of
with that have no partner and leaves them out. It holds the places of the rows of with
in memory, at most 8 GiB.`,
}, join)

// partner is a row of with.
type partner struct {
	at   stage.Place
	used bool
}

func join(ctx context.Context, env *stage.Env, c joinConfig, in joinIn, out joinOut) error {
	partners, err := c.partners(ctx, env, in.With)
	if err != nil {
		return err
	}
	var again *stage.Reader[schema.Problem]
	if len(partners) > 0 {
		if again, err = in.With.Open(); err != nil {
			return err
		}
		defer again.Close()
	}
	used := 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		sum := sumOf(row.ID)
		p, ok := partners[sum]
		if !ok {
			if err := out.Unmatched.Write(row); err != nil {
				return err
			}
			if c.How == "inner" {
				continue
			}
		} else {
			if !p.used {
				p.used = true
				partners[sum] = p
				used++
			}
			with, err := again.At(p.at)
			if err != nil {
				return err
			}
			if err := c.merge(&row, &with); err != nil {
				return fmt.Errorf("row %q: %w", row.ID, err)
			}
		}
		if err := out.Rows.Write(row); err != nil {
			return err
		}
	}
	if left := len(partners) - used; left > 0 {
		env.AddStat("unused", float64(left))
		env.Warn("left out %d of the %d rows of with, which have no partner", left, len(partners))
	}
	return nil
}

// partners reads the rows of with. It tells of fields that none of them has, which
// are most often misspelt.
func (c joinConfig) partners(ctx context.Context, env *stage.Env, rows stage.Rows[schema.Problem]) (map[idSum]partner, error) {
	m := map[idSum]partner{}
	var held rowMemory
	absent := slices.DeleteFunc(slices.Clone(c.Fields), func(name string) bool { return name == "paths" })
	for placed, err := range eachPlaced(ctx, env, rows) {
		if err != nil {
			return nil, err
		}
		row := &placed.Record
		sum := sumOf(row.ID)
		if _, twice := m[sum]; twice {
			return nil, fmt.Errorf("id %q occurs twice in with: remove one of the two, for example with concat and duplicates: first", row.ID)
		}
		if err := held.hold(0); err != nil {
			return nil, fmt.Errorf("with: %w: work on parts of the data", err)
		}
		m[sum] = partner{at: placed.Place}
		absent = slices.DeleteFunc(absent, func(name string) bool { return !isEmpty(row, name) })
	}
	if len(m) > 0 {
		for _, name := range absent {
			env.Warn("fields: no row of with has %q", name)
		}
	}
	return m, nil
}

// merge takes the fields of with into row.
func (c joinConfig) merge(row, with *schema.Problem) error {
	if len(c.Fields) == 0 {
		for _, name := range mergeable(with) {
			if isEmpty(row, name) {
				copyField(row, with, name)
			}
		}
		return nil
	}
	for _, name := range c.Fields {
		switch {
		case name == "paths":
			row.Paths = slices.Concat(row.Paths, with.Paths)
		case isEmpty(with, name):
			// nothing to take
		case isEmpty(row, name) || c.Conflict == "with":
			copyField(row, with, name)
		case c.Conflict == "error" && !sameField(row, with, name):
			return fmt.Errorf("field %q differs between rows and with: set conflict: rows or conflict: with to say whose value counts", name)
		}
	}
	return nil
}

// mergeable lists the fields that a row has, without id and paths.
func mergeable(p *schema.Problem) []string {
	names := []string{"task", "question", "choices", "premise", "hypothesis", "table", "gold_answer"}
	for _, f := range p.Extra {
		names = append(names, f.Name)
	}
	return slices.DeleteFunc(names, func(n string) bool { return isEmpty(p, n) })
}

func isEmpty(p *schema.Problem, name string) bool {
	if f := knownText[name]; f != nil {
		return *f(p) == ""
	}
	if name == "choices" {
		return len(p.Choices) == 0
	}
	return p.Extra.Get(name) == nil
}

func copyField(to, from *schema.Problem, name string) {
	switch f := knownText[name]; {
	case f != nil:
		*f(to) = *f(from)
	case name == "choices":
		to.Choices = from.Choices
	default:
		to.Extra.Set(name, from.Extra.Get(name))
	}
}

func sameField(a, b *schema.Problem, name string) bool {
	switch f := knownText[name]; {
	case f != nil:
		return *f(a) == *f(b)
	case name == "choices":
		return slices.Equal(a.Choices, b.Choices)
	}
	return string(a.Extra.Get(name)) == string(b.Extra.Get(name))
}
