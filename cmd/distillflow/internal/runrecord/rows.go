package runrecord

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/stages/data"
)

// Path is the file of rows, or the folder, of an output in the store. Do not write
// there. The error is a *[GoneError] if the store no longer holds it.
func (r *Run) Path(o Output) (string, error) { return r.path(o, r.st.Path) }

// rowsPath is Path of rows that are about to be read: damage is an error.
func (r *Run) rowsPath(o Output) (string, error) { return r.path(o, r.st.VerifiedPath) }

func (r *Run) path(o Output, ofRows func(store.Digest) (string, error)) (string, error) {
	kind := o.Kind
	if kind == "" {
		s := r.Stage(o.Stage)
		if s == nil {
			return "", &GoneError{Output: o}
		}
		a, _, err := r.st.GetAction(s.Key)
		if err != nil {
			return "", err
		}
		if a != nil {
			kind = a.Outputs[o.Port].Kind
		}
	}
	var path string
	var err error
	if kind == store.KindDir {
		path, err = r.st.MaterializeTree(o.Digest)
	} else {
		path, err = ofRows(o.Digest)
	}
	if errors.Is(err, store.ErrNotFound) {
		return "", &GoneError{Output: o}
	}
	return path, err
}

// GoneError is an output that the store no longer holds. It wraps [store.ErrNotFound].
type GoneError struct{ Output Output }

// Error implements error.
func (e *GoneError) Error() string {
	return e.Output.Label() + " is no longer in the store; run the recipe again to have it made"
}

// Unwrap gives the cause.
func (e *GoneError) Unwrap() error { return store.ErrNotFound }

// Row is one row of an output.
type Row struct {
	Offset int64  // where it begins, in bytes; [Run.Rows] can go on from there
	JSON   []byte // without a newline; the caller's
}

// Condition compiles an expression over the rows of an output; see [data.Condition]. Of
// problems it sees what the where: of a filter sees, of other records their fields. The
// error is an *expr.Error if the expression is wrong.
func (r *Run) Condition(o Output, expr string) (*data.Condition, error) {
	var fields []string
	if o.Record != problemRecord {
		for row, err := range r.Rows(o, 0, nil) {
			if err != nil {
				return nil, err
			}
			gjson.ParseBytes(row.JSON).ForEach(func(k, _ gjson.Result) bool {
				fields = append(fields, k.String())
				return true
			})
			break
		}
	}
	return data.NewCondition(o.Record, expr, fields)
}

// Rows streams the rows of an output that begin at a byte offset or behind it, those for
// which cond holds; nil takes all. An error, such as an expression that fails for a row,
// ends the stream. Memory does not grow with the output.
func (r *Run) Rows(o Output, offset int64, cond *data.Condition) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		path, err := r.rowsPath(o)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for row, err := range rowsOf(path, offset) {
			if err == nil && cond != nil {
				var ok bool
				if ok, err = cond.Holds(row.JSON); err == nil && !ok {
					continue
				}
				if err != nil {
					err = fmt.Errorf("the row at byte %d%s: %w", row.Offset, idOf(row.JSON), err)
				}
			}
			if err != nil {
				yield(Row{}, fmt.Errorf("%s: %w", o.Label(), err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func idOf(row []byte) string {
	if id := gjson.GetBytes(row, "id"); id.Exists() {
		return fmt.Sprintf(" (id %q)", id.String())
	}
	return ""
}

func rowsOf(path string, offset int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer f.Close()
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			yield(Row{}, err)
			return
		}
		for line, err := range stage.Lines(f) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			if !yield(Row{Offset: offset + line.Offset, JSON: bytes.Clone(line.Text)}, nil) {
				return
			}
		}
	}
}

// Table is the rows of one output.
type Table[T stage.Record] struct {
	Output Output
	Rows   []T
}

// Read gives the rows of every output with T's record type, a table each, in the order of
// the stages. It is meant for small outputs. Outputs that the store no longer holds are
// left out, and the error names them; the tables are good all the same.
func Read[T stage.Record](r *Run) ([]Table[T], error) {
	var t T
	var tables []Table[T]
	var errs []error
	for _, s := range r.Stages {
		for _, o := range s.Outputs {
			if o.Kind != store.KindRows || o.Record != t.RecordType() {
				continue
			}
			table := Table[T]{Output: o}
			var err error
			for row, rerr := range Stream[T](r, o) {
				if err = rerr; err != nil {
					break
				}
				table.Rows = append(table.Rows, row)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			tables = append(tables, table)
		}
	}
	return tables, errors.Join(errs...)
}

// Stream gives the rows of one output, decoded, one after the other.
func Stream[T stage.Record](r *Run, o Output) iter.Seq2[T, error] {
	path, err := r.rowsPath(o)
	if err != nil {
		return func(yield func(T, error) bool) {
			var zero T
			yield(zero, err)
		}
	}
	return stage.RowsFrom[T](path, o.Label()).All()
}
