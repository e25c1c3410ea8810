package stage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// Whole is implemented by configs of types that are [Spec.RowByRow] with some settings
// only.
type Whole interface {
	// Whole says why all rows must be in one run of the stage, as a [FieldError]; nil if
	// they need not.
	Whole() error
}

// Whole says why the rows of the stage cannot be shared out, see [Whole] and
// [Spec.RowByRow]; nil if they can.
func (c *Config) Whole() error {
	if c.typ.RowByRow == "" {
		return FieldError{Msg: "it does not work row by row, so its rows cannot be shared out"}
	}
	if w, ok := c.v.Interface().(Whole); ok {
		return w.Whole()
	}
	return nil
}

// checkRowByRow finds mistakes in a type that says it works row by row.
func (t *Type) checkRowByRow() error {
	if t.RowByRow == "" {
		return nil
	}
	in, ok := t.Input(t.RowByRow)
	if !ok || in.Kind != RowsPort || in.Many || in.Optional {
		return fmt.Errorf("RowByRow: %q is not an input of rows from one source that must be connected", t.RowByRow)
	}
	for _, out := range t.Outputs {
		if out.Kind != RowsPort {
			return fmt.Errorf("RowByRow: the output %q is not of rows", out.Name)
		}
	}
	return nil
}

// ShardSizes shares out rows among n shards, as evenly as can be: no more shards than
// rows, but one where there are none.
func ShardSizes(rows int64, n int) []int64 {
	n = int(min(int64(n), max(rows, 1)))
	sizes := make([]int64, n)
	for i := range sizes {
		sizes[i] = rows*int64(i+1)/int64(n) - rows*int64(i)/int64(n)
	}
	return sizes
}

// CountLines counts the lines of a file, as [SplitLines] has them.
func CountLines(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("counting rows: %w", err)
	}
	defer f.Close()
	r := linePieces{Reader: getReader(f)}
	defer putReader(r.Reader)
	var n int64
	for {
		_, end, err := r.next()
		if end {
			n++
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("counting rows: %w", err)
		}
	}
}

// SplitLines copies the lines of a file to shards: the first sizes[0] lines to the first,
// and so on. open is called for each shard in order; nil leaves its lines out. The memory
// that it takes does not depend on the file.
func SplitLines(path string, sizes []int64, open func(shard int) (io.WriteCloser, error)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sharing out rows: %w", err)
	}
	defer f.Close()
	r := linePieces{Reader: getReader(f)}
	defer putReader(r.Reader)
	for i, size := range sizes {
		w, err := open(i)
		if err == nil {
			err = copyLines(w, &r, size)
			if w != nil {
				err = errors.Join(err, w.Close())
			}
		}
		if err != nil {
			return fmt.Errorf("sharing out rows: %w", err)
		}
	}
	return nil
}

// copyLines copies n lines, or leaves them out where w is nil.
func copyLines(w io.WriteCloser, r *linePieces, n int64) error {
	var buffered *bufio.Writer
	if w != nil {
		buffered = getWriter(w)
		defer putWriter(buffered)
	}
	for n > 0 {
		piece, end, err := r.next()
		if end {
			n--
		}
		if buffered != nil {
			if _, err := buffered.Write(piece); err != nil {
				return err
			}
		}
		switch {
		case n > 0 && errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF // it is shorter than it was
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
	}
	if buffered == nil {
		return nil
	}
	return buffered.Flush()
}

// linePieces reads lines in pieces that the buffer takes.
type linePieces struct {
	*bufio.Reader
	begun bool // the last piece did not end its line
}

// next gives a piece, valid until the following call. end reports that a line ends with
// it; the last line does so without a line feed, too.
func (l *linePieces) next() (piece []byte, end bool, err error) {
	piece, err = l.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		l.begun = true
		return piece, false, nil
	case errors.Is(err, io.EOF):
		end = l.begun || len(piece) > 0
	default:
		end = err == nil
	}
	l.begun = false
	return piece, end, err
}

// Merge is the result of a stage whose shards gave results, in their order.
func Merge(results []Result) Result {
	all := Result{Rows: map[string]int64{}, Stats: map[string]float64{}}
	missing := 0
	for i, r := range results {
		for port, n := range r.Rows {
			all.Rows[port] += n
		}
		for name, v := range r.Stats {
			all.Stats[name] += v // means are set right below
		}
		for name, m := range r.Means {
			if all.Means == nil {
				all.Means = map[string]Mean{}
			}
			all.Means[name] = Mean{all.Means[name].Sum + m.Sum, all.Means[name].Over + m.Over}
		}
		if r.Incomplete != "" {
			if missing++; missing == 1 {
				all.Incomplete = fmt.Sprintf("shard %d/%d: %s", i+1, len(results), r.Incomplete)
			}
		}
	}
	for name, m := range all.Means {
		all.Stats[name] = m.Sum / m.Over
	}
	if missing > 1 {
		all.Incomplete += fmt.Sprintf(" (and %d more shards)", missing-1)
	}
	return all
}
