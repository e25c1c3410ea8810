package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/distillflow/distillflow/flow/stage"
)

// spot is where a row came from. row is set, counted from 1 in the file, where the line
// has rows before it.
type spot struct{ file, line, row int }

// place is the spot of a row, or of what should be one.
type place struct {
	spot
	fault *fault // what makes it no row, whatever its text
}

// record is one row of a file as JSON. Its text is valid until the next one.
type record struct {
	place
	text []byte
}

// eachLine hands on the rows of files, in order, until one of them gives an error.
func eachLine(ctx context.Context, files []file, each func(at place, line []byte) error) error {
	for i, f := range files {
		err := eachLineOf(ctx, f, func(at place, line []byte) error {
			at.file = i
			return each(at, line)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func eachLineOf(ctx context.Context, f file, each func(at place, line []byte) error) error {
	if isParquet(f.path) {
		return eachParquetRow(ctx, f.path, func(n int, line []byte) error { return each(place{spot: spot{line: n}}, line) })
	}
	r, done, err := openText(ctx, f.path)
	if err != nil {
		return err
	}
	defer done()
	rows := records(r)
	if table, tabs := isTable(f.path); table {
		rows = tableRecords(r, tabs)
	}
	for row, err := range rows {
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("reading %s:%d: %w", f.path, row.line, err)
		}
		if err := each(row.place, row.text); err != nil {
			return err
		}
	}
	return nil
}

// Bounds on what a compressed file may become: a file that was made to fill the
// memory or to read for ever goes over one of them.
const (
	maxWindow   = 128 << 20 // of zstd, in bytes: what zstd --long needs
	maxExpanded = 256 << 20 // bytes that any file may decompress to
	maxRatio    = 200       // how many times its own size a larger one may
)

// foreign are the first bytes of files that are not read, and the way out.
var foreign = []struct{ magic, help string }{
	{"PK\x03\x04", "a zip archive: unpack it and name the data file in it"},
	{"BZh", "compressed with bzip2: decompress it with bzip2 -d, or compress it with gzip or zstd"},
	{"\xfd7zXZ", "compressed with xz: decompress it with xz -d, or compress it with gzip or zstd"},
	{"PAR1", "a Parquet file: name it .parquet"},
}

// openText opens a file as plain text: gzip and zstd are told by the first bytes.
// done closes it.
func openText(ctx context.Context, path string) (r io.Reader, done func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the data: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			err = fmt.Errorf("reading %s: %w", path, err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	br := bufio.NewReader(reader(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(p)
	}))
	head, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	for _, x := range foreign {
		if bytes.HasPrefix(head, []byte(x.magic)) {
			return nil, nil, errors.New("the file is " + x.help)
		}
	}
	most := max(maxExpanded, info.Size()*maxRatio)
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, fmt.Errorf("decompressing: %w", err)
		}
		return expanded(z, most), func() { f.Close() }, nil
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")), len(head) > 3 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("decompressing: %w", err)
		}
		return expanded(z, most), func() { z.Close(); f.Close() }, nil
	}
	return br, func() { f.Close() }, nil
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// expanded reads a decompressed stream of at most so many bytes.
func expanded(z io.Reader, most int64) io.Reader {
	return reader(func(p []byte) (int, error) {
		n, err := z.Read(p)
		if most -= int64(n); most < 0 {
			return 0, fmt.Errorf("the file decompresses to more than %d MiB and more than %d times its size: decompress it, and name the result if it is sound", maxExpanded>>20, maxRatio)
		}
		switch {
		case err == nil || err == io.EOF: //nolint:errorlint // as readers give it
			return n, err
		case errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("the compressed file ends too early: copy it again")
		case errors.Is(err, zstd.ErrWindowSizeExceeded):
			err = fmt.Errorf("compressed with a window of more than %d MiB: compress it without --ultra --long", maxWindow>>20)
		default:
			err = fmt.Errorf("decompressing: %w", err)
		}
		return n, err
	})
}

// records splits a text into rows: one a line, or, where the text is laid out
// otherwise, the elements of a JSON list and the values that follow one another.
func records(r io.Reader) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		head, err := br.Peek(64 << 10) // an error comes again below
		if err == nil || errors.Is(err, io.EOF) {
			if spread(head) {
				values(br, yield)
				return
			}
		}
		for line, err := range stage.Lines(br) {
			if !yield(record{place{spot: spot{line: line.Number}}, line.Text}, err) {
				return
			}
		}
	}
}

// spread reports that a text which begins so is not one row a line: it is a list,
// or its first object goes on in the next line. A first line that is merely broken
// has another row after it.
func spread(head []byte) bool {
	first, rest, _ := bytes.Cut(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n"), []byte("\n"))
	first, rest = bytes.TrimSpace(first), bytes.TrimSpace(rest)
	switch {
	case len(first) == 0 || len(rest) == 0 && first[0] == '{':
		return false
	case first[0] != '{':
		return first[0] == '['
	}
	_, _, err := value(bufio.NewReader(bytes.NewReader(first)), nil)
	return errors.Is(err, errUnended) && (rest[0] != '{' || strings.IndexByte("[:", first[len(first)-1]) >= 0)
}

// values hands on the values of a text, and the elements of its lists in their
// place. Commas between them count as blanks.
func values(br *bufio.Reader, yield func(record, error) bool) {
	if bom, err := br.Peek(3); err == nil && string(bom) == "\ufeff" {
		br.Discard(3) //nolint:errcheck // they were peeked at
	}
	var buf, small []byte
	line, list, last := 1, 0, 0 // list: line of the list that is open
	for n := 1; ; {
		c, err := br.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			if list > 0 {
				yield(record{place: place{spot: spot{line: list}}}, errors.New("the list that begins here does not end: the file is cut off"))
			}
			return
		case err != nil:
			yield(record{place: place{spot: spot{line: line}}}, err)
			return
		case c == '\n':
			line++
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == ',':
			continue
		case c == '[' && list == 0:
			list = line
			continue
		case c == ']' && list > 0:
			list = 0
			continue
		}
		br.UnreadByte() //nolint:errcheck // it was read
		at := place{spot: spot{line: line}}
		if line == last {
			at.row = n
		}
		var lines int
		buf, lines, err = value(br, buf[:0])
		if errors.Is(err, errOpenString) {
			at.line += lines
		}
		if err != nil {
			yield(record{place: at}, err)
			return
		}
		text := buf
		// A row is one line: what has no field of its own is kept as it stands.
		if bytes.ContainsAny(buf, "\r\n") && json.Valid(buf) {
			small = compact(small[:0], buf)
			text = small
		}
		if !yield(record{at, text}, nil) {
			return
		}
		line += lines
		last = line
		n++
	}
}

var errOpenString = errors.New("a string is not closed on this line: a line break in a string is written \\n")

var errUnended = errors.New("the row that begins here does not end: a bracket or a brace is missing")

// value appends the next JSON value to buf and counts the line ends in it. It sees
// to brackets and strings only.
func value(br *bufio.Reader, buf []byte) (text []byte, lines int, err error) {
	depth, quoted := 0, false
	for {
		c, err := br.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && quoted:
			return buf, lines, errors.New("the row that begins here does not end: a quotation mark is missing")
		case errors.Is(err, io.EOF):
			return buf, lines, errUnended
		case err != nil:
			return buf, lines, err
		}
		if len(buf) >= stage.MaxLine {
			return buf, lines, fmt.Errorf("the row that begins here is longer than %d MiB", stage.MaxLine>>20)
		}
		buf = append(buf, c)
		switch {
		case quoted && c == '\\':
			if c, err = br.ReadByte(); err == nil {
				buf = append(buf, c)
			}
		case c == '"':
			quoted = !quoted
		case c == '\n':
			if lines++; quoted {
				return buf, lines - 1, errOpenString
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth > 0 || quoted {
			continue
		}
		// Numbers and words end before what follows them.
		if next, err := br.Peek(1); strings.IndexByte(`"}]`, c) >= 0 || err != nil || bytes.ContainsAny(next, " \t\r\n,[]{}\"") {
			return buf, lines, nil
		}
	}
}

// countLimit is how many bytes of text an estimate reads at most: an estimate must
// be quick.
const countLimit = 64 << 20

// leastRow is fewer bytes than any row takes, its line end included.
const leastRow = len(`{"question":""}` + "\n")

// linesBelow bounds the rows of the files that a root names; nil is unknown. strict
// says that a line that is not a row stops the stage.
func linesBelow(ctx context.Context, root string, train, strict bool) (*stage.Range, error) {
	files, err := listFiles(ctx, root, train)
	if err != nil {
		return nil, err
	}
	return linesOf(ctx, files, strict)
}

// linesOf bounds the rows of files, as [linesBelow] does.
func linesOf(ctx context.Context, files []file, strict bool) (*stage.Range, error) {
	var lines, size, text int64 // text: bytes of JSON
	var most int64              // rows of Parquet files, whose footer tells, and of tables
	counted, compressed := true, false
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
		if table, _ := isTable(f.path); table {
			most += info.Size()/leastTableRow + 1 // the last may have no line end
		} else {
			text += info.Size()
		}
		compressed = compressed || plainName(f.path) != f.path
		if size += info.Size(); size > countLimit {
			counted = false
			continue
		}
		n, ok := countRows(ctx, f)
		lines += n
		counted = counted && ok
	}
	rows := &stage.Range{Max: float64(most + text/int64(leastRow))}
	switch {
	case counted && strict:
		return stage.Exactly(float64(lines)), nil
	case counted:
		rows.Max = float64(lines)
	case compressed:
		return nil, nil
	}
	return rows, ctx.Err()
}

var errMany = errors.New("too many bytes to count")

// countRows counts the rows of a file, unless they are more than countLimit bytes
// or cannot be read, which the stage itself reports.
func countRows(ctx context.Context, f file) (n int64, ok bool) {
	left := countLimit
	err := eachLineOf(ctx, f, func(_ place, line []byte) error {
		if left -= len(line); left < 0 {
			return errMany
		}
		n++
		return nil
	})
	return n, err == nil
}

// Extensions of files that are not read, and the way out.
var refused = []struct{ exts, help string }{
	{".zip .tar .tgz .7z", "archives are not read: unpack it and name the data file or its folder"},
	{".bz2 .xz", "only .gz and .zst are decompressed: decompress it, or compress it with gzip or zstd"},
	{".xls .xlsx .ods", "spreadsheets are not read: save its sheet as CSV"},
	{".arrow .feather", "convert it to Parquet or JSONL, for example with to_json of the datasets library"},
}

// readable refuses files whose name says that they cannot be read.
func readable(files []file) error {
	for _, f := range files {
		name := plainName(strings.ToLower(f.path))
		for _, r := range refused {
			if slices.ContainsFunc(strings.Fields(r.exts), func(ext string) bool { return strings.HasSuffix(name, ext) }) {
				return stage.Invalid("root", "cannot read %s: %s; JSONL, JSON, CSV, TSV (also .gz and .zst) and Parquet are read", f.path, r.help)
			}
		}
	}
	return nil
}

// plainName is a name without the extension of a compressed file.
func plainName(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}
