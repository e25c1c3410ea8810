package data

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"github.com/distillflow/distillflow/flow/stage"
)

// countLimit is how many bytes an estimate reads at most: an estimate must be
// quick. Of larger data only an upper bound is told.
const countLimit = 64 << 20

// leastRow is fewer bytes than any row takes, its line end included.
const leastRow = len(`{"question":""}` + "\n")

// Estimate implements [stage.Estimator] by counting lines. A line may be no row
// after all, unless that stops the stage.
func (c scanConfig) Estimate(ctx context.Context, _ stage.Question) (stage.Estimate, error) {
	rows, err := linesBelow(ctx, string(c.Root), c.IncludeTrain, c.OnError == onError)
	if err != nil {
		return stage.Estimate{}, err
	}
	if l := float64(c.Limit); c.Limit > 0 {
		rows.Min, rows.Max = min(rows.Min, l), min(rows.Max, l)
	}
	return stage.Estimate{Rows: map[string]*stage.Range{"problems": rows}}, nil
}

// linesBelow bounds the rows of the files that a root names. strict says that a
// line that is no row stops the stage.
func linesBelow(ctx context.Context, root string, train, strict bool) (*stage.Range, error) {
	files, err := listFiles(ctx, root, train)
	if err != nil {
		return nil, err
	}
	var lines, size, most int64 // most: rows of Parquet files, whose footer tells
	counted := true
	for _, f := range files {
		info, err := os.Stat(f.path)
		if err != nil {
			return nil, err
		}
		if isParquet(f.path) {
			n, err := parquetRows(f.path)
			if err != nil {
				return nil, err
			}
			lines, most = lines+n, most+n
			continue
		}
		if size += info.Size(); size > countLimit {
			counted = false
			continue
		}
		n, err := countLines(ctx, f.path)
		if err != nil {
			return nil, err
		}
		lines += n
	}
	rows := &stage.Range{Max: float64(most + size/int64(leastRow))}
	if counted {
		rows.Max = float64(lines)
		if strict {
			rows.Min = rows.Max
		}
	}
	return rows, nil
}

// countLines counts the lines of a file that are not blank.
func countLines(ctx context.Context, path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var n int64
	buf := make([]byte, 256<<10)
	blank := true // so far, the line under way
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := f.Read(buf)
		for rest := buf[:k]; len(rest) > 0; {
			line, after, ended := bytes.Cut(rest, []byte("\n"))
			blank = blank && len(bytes.TrimSpace(line)) == 0
			if ended && !blank {
				n++
			}
			blank = blank || ended
			rest = after
		}
		if errors.Is(err, io.EOF) {
			if !blank {
				n++
			}
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
