package data

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// isParquet reports whether a file is read as Parquet.
func isParquet(path string) bool { return strings.EqualFold(filepath.Ext(path), ".parquet") }

// openParquet opens a file and hands it to use. The library panics on some damaged
// files; here that is an error too.
func openParquet(path string, use func(*parquet.File) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the data: %w", err)
	}
	defer f.Close()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading %s: the Parquet file is damaged: %v", path, p)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := checkFooter(f, info.Size()); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	// Indexes and filters are of no use to a reader of all rows.
	pf, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return use(pf)
}

// eachParquetRow hands on the rows of a Parquet file as lines of JSON, fields in the
// file's order, numbered from 1.
func eachParquetRow(ctx context.Context, path string, each func(number int, line []byte) error) error {
	var own error // of each, which gets no file name
	err := openParquet(path, func(f *parquet.File) error {
		bounds := newParquetBounds(f, f.Size())
		defer bounds.close()
		leaves := leavesOf(f.Root())
		if len(leaves) == 0 && f.NumRows() > 0 {
			return fmt.Errorf("reading %s: its %d rows have no columns", path, f.NumRows())
		}
		number := 0
		for i, g := range f.RowGroups() {
			if err := bounds.group(&f.Metadata().RowGroups[i], leaves); err != nil {
				return fmt.Errorf("reading %s: after row %d: %w", path, number, err)
			}
			var err error
			if err, own = groupRows(ctx, g, &number, bounds, each); own != nil {
				return own
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("reading %s: %w", path, err)
			}
		}
		return nil
	})
	if own != nil {
		return own
	}
	return err
}

// groupRows hands on the rows of a row group and counts them; own is an error of each.
func groupRows(ctx context.Context, g parquet.RowGroup, number *int, bounds *parquetBounds, each func(int, []byte) error) (err, own error) {
	r := parquet.NewRowGroupReader(g)
	defer r.Close()
	rows := make([]parquet.Row, 64)
	var line bytes.Buffer
	for {
		if err := ctx.Err(); err != nil {
			return err, nil
		}
		n, err := r.ReadRows(rows)
		for _, row := range rows[:n] {
			// Texts of a dictionary are there once, whatever the number of values that they are.
			size := 0
			for _, v := range row {
				size++
				if k := v.Kind(); k == parquet.ByteArray || k == parquet.FixedLenByteArray {
					size += len(v.ByteArray())
				}
			}
			*number++
			var v any
			err := bounds.row(size)
			if err == nil {
				err = g.Schema().Reconstruct(&v, row)
			}
			line.Reset()
			if err == nil {
				err = writeJSON(&line, g.Schema(), v)
			}
			if err != nil {
				return fmt.Errorf("row %d: %w", *number, err), nil
			}
			if own := each(*number, line.Bytes()); own != nil {
				return nil, own
			}
		}
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err == nil && n == 0 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return fmt.Errorf("after row %d: %w", *number, err), nil
		}
	}
}

// parquetRows counts the rows of a file.
func parquetRows(path string) (n int64, err error) {
	err = openParquet(path, func(f *parquet.File) error {
		n = f.NumRows()
		return nil
	})
	return n, err
}

// writeJSON writes a value as the reader of any gives it: groups and maps as maps,
// lists as slices.
func writeJSON(w *bytes.Buffer, node parquet.Node, v any) error {
	switch x := v.(type) {
	case map[string]any:
		if l := logical(node); l == "MAP" || node.Leaf() {
			return plainJSON(w, x)
		}
		w.WriteByte('{')
		for i, f := range node.Fields() {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := plainJSON(w, f.Name()); err != nil {
				return err
			}
			w.WriteByte(':')
			if err := writeJSON(w, f, x[f.Name()]); err != nil {
				return fmt.Errorf("column %q: %w", f.Name(), err)
			}
		}
		w.WriteByte('}')
		return nil
	case []any:
		w.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := writeJSON(w, element(node), e); err != nil {
				return err
			}
		}
		w.WriteByte(']')
		return nil
	case string:
		if !utf8.ValidString(x) {
			if logical(node) == "STRING" {
				return errors.New("not valid UTF-8")
			}
			w.WriteString("null") // an image or the like, which no task reads
			return nil
		}
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			w.WriteString("null") // as JSON has no such numbers
			return nil
		}
	case float32:
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			w.WriteString("null")
			return nil
		}
	}
	return plainJSON(w, v)
}

// logical is the logical type of a column, "" where it has none.
func logical(n parquet.Node) string {
	if t := n.Type(); t != nil && t.LogicalType() != nil {
		return t.LogicalType().String()
	}
	return ""
}

// element is the node of a list's elements: two levels down, where the file keeps to
// the format's rules for lists.
func element(n parquet.Node) parquet.Node {
	if n.Leaf() || logical(n) != "LIST" || len(n.Fields()) != 1 {
		return n
	}
	inner := n.Fields()[0]
	if !inner.Leaf() && len(inner.Fields()) == 1 {
		return inner.Fields()[0]
	}
	return inner
}

func plainJSON(w *bytes.Buffer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	w.Truncate(w.Len() - 1) // the line end
	return nil
}
