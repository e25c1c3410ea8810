package data

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// Head is the beginning of a data set.
type Head struct {
	Rows   [][]byte // as JSON objects
	Broken int      // lines that are none
	Why    error    // what the first of them is
	Whole  bool     // the data set ends here
}

// headSize is how many bytes of rows a head takes at most; its last row may go over.
const headSize = 64 << 20

// FirstRows reads the beginning of the files that a root of scan stands for: at most n
// lines.
func FirstRows(ctx context.Context, root string, n int) (Head, error) {
	s := Head{Whole: true}
	if err := validRoot(root); err != nil {
		return s, err
	}
	files, err := listFiles(ctx, root, false)
	if err != nil {
		return s, err
	}
	in := intake{files: files}
	size := 0
	err = eachLine(ctx, files, func(at place, line []byte) error {
		if len(s.Rows)+s.Broken >= n || size >= headSize {
			s.Whole = false
			return errLimit
		}
		row, _, err := jsonRowOf(line)
		if v := gjson.ParseBytes(row); err == nil && !v.IsObject() {
			err = fmt.Errorf("a row must be a JSON object, not %s", schema.KindOf(v))
		}
		if at.fault != nil {
			err = at.fault
		}
		if err != nil {
			if s.Broken++; s.Broken == 1 {
				s.Why = fmt.Errorf("%s: %w", in.where(at.spot), err)
			}
			return nil
		}
		size += len(row)
		s.Rows = append(s.Rows, append([]byte(nil), row...))
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errLimit):
		return s, err
	case len(s.Rows) == 0 && s.Broken > 0:
		return s, s.Why
	case len(s.Rows) == 0:
		return s, fmt.Errorf("%s holds no rows", root)
	}
	return s, nil
}

// TaskReader gives the rows that scan makes of [FirstRows] where a recipe declares the
// task under a name.
func TaskReader(name string, t task.Task, root string) (func(row []byte) (schema.Problem, error), error) {
	declared, err := declaredTask(name, &t)
	return func(row []byte) (schema.Problem, error) {
		p, _, err := parseRow(row, declared, filepath.Dir(root))
		return p, err
	}, err
}
