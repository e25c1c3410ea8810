package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// mergeWidth is how many sorted parts are merged at a time: each holds a file and
// a read buffer open.
const mergeWidth = 64

// sorter sorts rows by merging sorted parts. It is stable: a part holds rows that
// came after those of the part before it, and of equal rows the earlier part's
// goes first.
type sorter struct {
	keys []sortKey
	dir  string // for the parts; made when there is one
	temp string // the folder below dir that holds them
	rows []sortable
	runs []string // files, in the order of their rows
	made int      // parts written so far, for their names
}

// sortable is a row with its values of the keys.
type sortable struct {
	row  schema.Problem
	keys []any
}

func (s *sorter) compare(a, b sortable) int {
	for i, k := range s.keys {
		if d := compareValues(a.keys[i], b.keys[i]); d != 0 {
			if k.desc {
				return -d
			}
			return d
		}
	}
	return 0
}

// add takes a row in and returns about how many bytes it has as JSON.
func (s *sorter) add(row schema.Problem) (size int, err error) {
	x, err := s.keyed(row)
	if err != nil {
		return 0, err
	}
	s.rows = append(s.rows, x)
	size = len(row.Question) + len(row.Premise) + len(row.Hypothesis) + len(row.Table) + 200
	for _, f := range row.Extra {
		size += len(f.Name) + len(f.Raw)
	}
	for _, p := range row.Paths {
		size += len(p.Prompt) + len(p.Response) + len(p.Reason) + 200
	}
	return size, nil
}

func (s *sorter) keyed(row schema.Problem) (sortable, error) {
	x := sortable{row: row, keys: make([]any, len(s.keys))}
	for i, k := range s.keys {
		v, err := k.program.Value(problemRow{&row})
		if err == nil && rank(v) < 0 {
			err = errors.New("the expression gives a list or an object, which have no order; it must give a number, text, or true or false")
		}
		if err != nil {
			return x, rowErr("by."+strconv.Itoa(i), &row, err)
		}
		x.keys[i] = v
	}
	return x, nil
}

// spill writes the rows in memory as a sorted part.
func (s *sorter) spill(ctx context.Context) error {
	if len(s.runs) == mergeWidth {
		if err := s.writeRun(s.merge(ctx)); err != nil {
			return err
		}
		for _, old := range s.runs[:mergeWidth] {
			if err := os.Remove(old); err != nil {
				return fmt.Errorf("sorting on disk: %w", err)
			}
		}
		s.runs = slices.Delete(s.runs, 0, mergeWidth)
	}
	slices.SortStableFunc(s.rows, s.compare)
	err := s.writeRun(func(yield func(schema.Problem, error) bool) {
		for i := range s.rows {
			if !yield(s.rows[i].row, nil) {
				return
			}
		}
	})
	clear(s.rows)
	s.rows = s.rows[:0]
	return err
}

func (s *sorter) writeRun(rows iter.Seq2[schema.Problem, error]) (err error) {
	if s.temp == "" {
		if s.dir != "" {
			if err := os.MkdirAll(s.dir, 0o755); err != nil {
				return fmt.Errorf("sorting on disk: %w", err)
			}
		}
		if s.temp, err = os.MkdirTemp(s.dir, "sort-*"); err != nil {
			return fmt.Errorf("sorting on disk: %w", err)
		}
	}
	s.made++
	f, err := os.Create(filepath.Join(s.temp, strconv.Itoa(s.made)))
	if err != nil {
		return fmt.Errorf("sorting on disk: %w", err)
	}
	w := bufio.NewWriterSize(f, 256<<10)
	_, err = writeJSONL(w, rows)
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("sorting on disk: %w", err)
	}
	s.runs = append(s.runs, f.Name())
	return nil
}

// each hands on all rows in order. It ends the sorter's work.
func (s *sorter) each(ctx context.Context, do func(schema.Problem) error) error {
	if len(s.runs) == 0 {
		slices.SortStableFunc(s.rows, s.compare)
		for i := range s.rows {
			if err := do(s.rows[i].row); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(ctx); err != nil {
		return err
	}
	for row, err := range s.merge(ctx) {
		if err == nil {
			err = do(row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// merge streams the rows of the parts that there are now, in order. The keys of
// rows from disk are computed anew, which costs less than keeping them.
func (s *sorter) merge(ctx context.Context) iter.Seq2[schema.Problem, error] {
	return func(yield func(schema.Problem, error) bool) {
		heads := make([]sortHead, 0, len(s.runs))
		defer func() {
			for _, h := range heads {
				h.stop()
			}
		}()
		for _, path := range s.runs {
			next, stop := iter.Pull2(stage.RowsFrom[schema.Problem](path, "rows sorted on disk").All())
			heads = append(heads, sortHead{next: next, stop: stop})
			if err := heads[len(heads)-1].advance(s); err != nil {
				yield(schema.Problem{}, err)
				return
			}
		}
		for n := 1; ; n++ {
			// Few parts: looking at all of them costs less than decoding the row.
			least := -1
			for i, h := range heads {
				if !h.done && (least < 0 || s.compare(h.row, heads[least].row) < 0) {
					least = i
				}
			}
			if least < 0 {
				return
			}
			err := error(nil)
			if n%1024 == 0 {
				err = ctx.Err()
			}
			if !yield(heads[least].row.row, err) || err != nil {
				return
			}
			if err := heads[least].advance(s); err != nil {
				yield(schema.Problem{}, err)
				return
			}
		}
	}
}

// close removes what is on disk.
func (s *sorter) close() error {
	if s.temp == "" {
		return nil
	}
	return os.RemoveAll(s.temp)
}

// sortHead is the next row of a part.
type sortHead struct {
	next func() (schema.Problem, error, bool)
	stop func()
	row  sortable
	done bool
}

func (h *sortHead) advance(s *sorter) error {
	row, err, ok := h.next()
	if !ok || err != nil {
		h.done = true
		return err
	}
	h.row, err = s.keyed(row)
	return err
}
