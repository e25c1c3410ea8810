package stage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"unicode"
)

// MaxLine bounds one JSONL line, in bytes, so that a broken file cannot exhaust
// memory.
const MaxLine = 256 << 20

// Record is implemented by the types that flow through row ports. RecordType
// must work on the zero value.
type Record interface{ RecordType() string }

// Rows is an input port: a stream of JSONL records.
type Rows[T Record] struct {
	path  string
	label string
}

// RowsFrom reads rows of a file directly, for tests and tools. The label names
// the source in errors.
func RowsFrom[T Record](path, label string) Rows[T] { return Rows[T]{path: path, label: label} }

func (Rows[T]) port() Port {
	var t T
	return Port{Kind: RowsPort, Record: t.RecordType()}
}

func (Rows[T]) open(path, label string) any { return Rows[T]{path: path, label: label} }

// Given reports whether an optional input was connected.
func (r Rows[T]) Given() bool { return r.path != "" }

// RowError is a line that is not a record.
type RowError struct {
	Source string
	Line   int // 1-based
	Err    error
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Source, e.Line, e.Err) }

// Unwrap gives the cause.
func (e *RowError) Unwrap() error { return e.Err }

// All streams the records in order. A line that cannot be decoded gives a
// *[RowError] and the stream goes on behind it; the stage decides what to do.
// A read error ends the stream.
func (r Rows[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for p, err := range r.Placed() {
			if !yield(p.Record, err) {
				return
			}
		}
	}
}

// Place is where a record stands in its rows.
type Place struct {
	offset int64
	size   int
}

// Placed is a record and its place, for [Reader.At].
type Placed[T Record] struct {
	Record T
	Place  Place
}

// Placed is All with the places of the records.
func (r Rows[T]) Placed() iter.Seq2[Placed[T], error] {
	return func(yield func(Placed[T], error) bool) {
		var zero Placed[T]
		if r.path == "" {
			return
		}
		f, err := os.Open(r.path)
		if err != nil {
			yield(zero, fmt.Errorf("reading %s: %w", r.label, err))
			return
		}
		defer f.Close()
		for line, err := range Lines(f) {
			if err != nil {
				yield(zero, fmt.Errorf("reading %s: %w", r.label, err))
				return
			}
			p := Placed[T]{Place: Place{line.Offset, len(line.Text)}}
			if err := decodeRecord(line.Text, &p.Record); err != nil {
				if !yield(zero, &RowError{Source: r.label, Line: line.Number, Err: err}) {
					return
				}
				continue
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Reader reads single records again, in any order, so that a stage need not hold them.
type Reader[T Record] struct {
	f     *os.File
	label string
	buf   []byte
}

// Open opens the rows for reading records again.
func (r Rows[T]) Open() (*Reader[T], error) {
	f, err := os.Open(r.path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.label, err)
	}
	return &Reader[T]{f: f, label: r.label}, nil
}

// At reads the record at a place that Placed gave.
func (r *Reader[T]) At(p Place) (t T, err error) {
	r.buf = slices.Grow(r.buf[:0], p.size)[:p.size]
	if _, err := r.f.ReadAt(r.buf, p.offset); err != nil {
		return t, fmt.Errorf("reading %s at byte %d again: %w", r.label, p.offset, err)
	}
	if err := decodeRecord(r.buf, &t); err != nil {
		return t, fmt.Errorf("reading %s at byte %d again: %w", r.label, p.offset, err)
	}
	return t, nil
}

// Close closes the rows.
func (r *Reader[T]) Close() error { return r.f.Close() }

// Count counts the records without decoding them.
func (r Rows[T]) Count() (int64, error) {
	if r.path == "" {
		return 0, nil
	}
	f, err := os.Open(r.path)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", r.label, err)
	}
	defer f.Close()
	var n int64
	for _, err := range Lines(f) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func decodeRecord[T any](line []byte, t *T) error {
	if u, ok := any(t).(json.Unmarshaler); ok {
		return u.UnmarshalJSON(line)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(t); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value on the line")
	}
	return nil
}

// Line is one line of a file. Text is valid until the next one.
type Line struct {
	Number int   // 1-based
	Offset int64 // where Text begins in the stream, in bytes
	Text   []byte
}

// Lines splits a stream into lines, leaving out empty ones. A UTF-8 byte order
// mark at the start and carriage returns at line ends are dropped. It yields an
// error and ends for a read error or a line over [MaxLine].
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		br := getReader(r)
		defer putReader(br)
		var long []byte
		at := int64(0) // where the line begins
		for n := 1; ; n++ {
			long = long[:0]
			line, err := br.ReadSlice('\n')
			for errors.Is(err, bufio.ErrBufferFull) {
				long = append(long, line...)
				if len(long) > MaxLine {
					yield(Line{Number: n}, fmt.Errorf("line %d is longer than %d MiB", n, MaxLine>>20))
					return
				}
				line, err = br.ReadSlice('\n')
			}
			if len(long) > 0 {
				long = append(long, line...)
				line = long
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Line{Number: n}, err)
				return
			}
			text := line
			if n == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			text = bytes.TrimLeftFunc(text, unicode.IsSpace)
			start := at + int64(len(line)-len(text))
			if text = bytes.TrimRightFunc(text, unicode.IsSpace); len(text) > 0 && !yield(Line{Number: n, Offset: start, Text: text}, nil) {
				return
			}
			if err != nil {
				return
			}
			at += int64(len(line))
		}
	}
}

// Writer is an output port: JSONL records in the order of the Write calls. It
// is not safe for concurrent use: order is part of the result.
type Writer[T Record] struct {
	f    *os.File
	w    *bufio.Writer
	buf  []byte
	rows int64
}

// outputField is implemented by output port types.
type outputField interface {
	portField
	create(path string) error
	finish() (rows int64, err error)
}

func (*Writer[T]) port() Port {
	var t T
	return Port{Kind: RowsPort, Record: t.RecordType()}
}

func (w *Writer[T]) create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("creating an output: %w", err)
	}
	w.f, w.w = f, getWriter(f)
	return nil
}

// Write appends one record.
func (w *Writer[T]) Write(t T) error {
	var err error
	if a, ok := any(t).(interface {
		AppendJSON([]byte) ([]byte, error)
	}); ok {
		w.buf, err = a.AppendJSON(w.buf[:0])
	} else {
		w.buf, err = appendRecord(w.buf[:0], t)
	}
	if err != nil {
		return fmt.Errorf("encoding row %d: %w", w.rows+1, err)
	}
	w.rows++
	w.buf = append(w.buf, '\n')
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("writing row %d: %w", w.rows, err)
	}
	return nil
}

func appendRecord(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (w *Writer[T]) finish() (int64, error) {
	err := w.w.Flush()
	putWriter(w.w)
	w.w = nil
	return w.rows, errors.Join(err, w.f.Close())
}
