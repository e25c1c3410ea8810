package data

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Extensions of tables, without those of compressed files.
const (
	extCSV = ".csv"
	extTSV = ".tsv"
)

// isTable reports whether a file is read as CSV or TSV, and whether tabs part its
// cells.
func isTable(path string) (table, tabs bool) {
	name := plainName(strings.ToLower(path))
	tabs = strings.HasSuffix(name, extTSV)
	return tabs || strings.HasSuffix(name, extCSV), tabs
}

// leastTableRow is fewer bytes than any row of a table takes, its line end included.
const leastTableRow = 2

// fault is what is wrong with a row that can be left out: the next one is known.
type fault struct{ msg string }

// Error implements error.
func (f *fault) Error() string { return f.msg }

// tableRecords hands on the rows of a table with a header as JSON objects of strings,
// in the header's order. A row with another number of cells has a fault, and its text
// is that of the table; so has one that is not UTF-8.
func tableRecords(r io.Reader, tabs bool) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		if bom, err := br.Peek(3); err == nil && string(bom) == "\ufeff" {
			br.Discard(3) //nolint:errcheck // they were peeked at
		}
		head, _ := br.Peek(64 << 10) // an error comes again below
		in := &rowCap{r: br}
		rows := csv.NewReader(in)
		rows.Comma, rows.FieldsPerRecord, rows.ReuseRecord = delimiter(head, tabs), -1, true
		line := 1 // of the next row
		next := func() (cells []string, at place, err error) {
			in.read = 0
			cells, err = rows.Read()
			var bad *csv.ParseError
			if errors.As(err, &bad) {
				line = bad.StartLine
				if errors.Is(err, csv.ErrBareQuote) {
					line = bad.Line
				}
				err = errQuotes[bad.Err]
			}
			if err != nil {
				return nil, place{spot: spot{line: line}}, err
			}
			at.line, _ = rows.FieldPos(0)
			last, _ := rows.FieldPos(len(cells) - 1)
			line = last + strings.Count(cells[len(cells)-1], "\n") + 1
			return cells, at, nil
		}
		header, at, err := next()
		if err == nil {
			header, err = columns(header)
		}
		for err == nil {
			var cells []string
			if cells, at, err = next(); err != nil {
				break
			}
			row := record{place: at}
			if row.text, row.fault = rowObject(header, cells, rows.Comma); !yield(row, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(record{place: at}, err)
		}
	}
}

// rowCap ends a table whose row does not: a quotation mark that is missing makes one
// row of all that follows.
type rowCap struct {
	r    io.Reader
	read int // bytes since the row began
}

var errLongRow = fmt.Errorf("the row that begins here is longer than %d MiB: is a quotation mark missing?", stage.MaxLine>>20)

// Read implements [io.Reader].
func (c *rowCap) Read(p []byte) (int, error) {
	if c.read > stage.MaxLine {
		return 0, errLongRow
	}
	n, err := c.r.Read(p)
	c.read += n
	return n, err
}

// errQuotes are the reader's errors in our words.
var errQuotes = map[error]error{
	csv.ErrBareQuote: errors.New(`a quotation mark stands inside a cell without quotes: put the cell in quotes and write the mark twice, as in "a ""b"" c"`),
	csv.ErrQuote:     errors.New(`a cell of the row that begins here is quoted wrongly: its end has no quotation mark, or one inside it is not written twice, as in "a ""b"" c"`),
}

// delimiter tells from the header line what parts the cells.
func delimiter(head []byte, tabs bool) rune {
	if tabs {
		return '\t'
	}
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	count, quoted := map[byte]int{}, false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			count[c]++
		}
	}
	switch {
	case count[','] > 0 || count[';']+count['\t'] == 0:
		return ','
	case count['\t'] > count[';']:
		return '\t'
	}
	return ';'
}

// columns gives the names in a header.
func columns(header []string) ([]string, error) {
	names := make([]string, len(header))
	seen := map[string]int{}
	for i, cell := range header {
		name := strings.TrimSpace(cell)
		switch first, twice := seen[name]; {
		case !utf8.ValidString(name):
			return nil, errors.New("the header is not valid UTF-8: convert the file, for example with iconv -t utf-8")
		case name == "":
			return nil, fmt.Errorf("column %d has no name: the first row must name the fields; give it a name, or leave the column out (pandas: to_csv(index=False))", i+1)
		case twice:
			return nil, fmt.Errorf("columns %d and %d are both called %q: rename one", first, i+1, name)
		}
		seen[name], names[i] = i+1, name
	}
	return names, nil
}

// rowObject makes a JSON object of a row.
func rowObject(header, cells []string, comma rune) ([]byte, *fault) {
	bad := ""
	if len(cells) != len(header) {
		bad = fmt.Sprintf("the row has %s, and the header names %s: put cells that hold a delimiter in quotes", text.Plural(len(cells), "field"), text.Plural(len(header), "column"))
	}
	for i, c := range cells {
		if bad == "" && !utf8.ValidString(c) {
			bad = fmt.Sprintf("column %q is not valid UTF-8: convert the file, for example with iconv -t utf-8", header[i])
		}
	}
	var b bytes.Buffer
	if bad != "" {
		w := csv.NewWriter(&b)
		w.Comma = comma
		w.Write(cells) //nolint:errcheck // to memory, with a comma that was read with
		w.Flush()
		return bytes.TrimRight(b.Bytes(), "\n"), &fault{bad}
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // as rows are written
	put := func(s string, then byte) {
		e.Encode(s)             //nolint:errcheck // text, to memory
		b.Truncate(b.Len() - 1) // the line end
		b.WriteByte(then)
	}
	b.WriteByte('{')
	for i, name := range header {
		put(name, ':')
		put(cells[i], ',')
	}
	b.Bytes()[b.Len()-1] = '}' // a header names at least one column
	return b.Bytes(), nil
}
