package data

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// FirstRows gives the first n rows, as JSON, of the files that a root of scan stands
// for. A line that is no JSON object is an error.
func FirstRows(ctx context.Context, root string, n int) ([][]byte, error) {
	if err := validRoot(root); err != nil {
		return nil, err
	}
	files, err := listFiles(ctx, root, false)
	if err != nil {
		return nil, err
	}
	in := intake{files: files}
	var rows [][]byte
	err = eachLine(ctx, files, func(at place, line []byte) error {
		if err := whole(at, line); err != nil {
			return fmt.Errorf("%s: %w", in.where(at), err)
		}
		fixed, _ := repairEscapes(line)
		if rows = append(rows, append([]byte(nil), fixed...)); len(rows) >= n {
			return errLimit
		}
		return nil
	})
	if err != nil && !errors.Is(err, errLimit) {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s holds no rows", root)
	}
	return rows, nil
}

// whole reports a line that is no JSON object.
func whole(at place, line []byte) error {
	switch {
	case at.fault != nil:
		return at.fault
	case !utf8.Valid(line):
		return errors.New("not valid UTF-8: convert the file, for example with iconv -t utf-8")
	}
	if err := schema.CheckJSON(line); err != nil {
		return err
	}
	if v := gjson.ParseBytes(line); !v.IsObject() {
		return fmt.Errorf("a row must be a JSON object, not %s", schema.KindOf(v))
	}
	return nil
}

// ReadAs gives the row that scan makes of one of [FirstRows] where a recipe declares
// the task under a name.
func ReadAs(name string, t task.Task, root string, row []byte) (schema.Problem, error) {
	declared, err := declaredTask(name, &t)
	if err != nil {
		return schema.Problem{}, err
	}
	p, _, err := parseRow(row, declared, filepath.Dir(root))
	return p, err
}
