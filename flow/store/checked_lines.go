package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// The store's own append-only files hold one record a line:
//
//	<16 hex digits of checksum> TAB field TAB field ... LF
//
// The checksum covers everything between the first tab and the line feed. No
// field holds a tab or line feed: text goes in as a JSON string, and compact
// JSON has neither. A torn or damaged line fails its checksum and is skipped.

// appendLine appends a record to b.
func appendLine(b []byte, fields ...[]byte) []byte {
	line := bytes.Join(fields, []byte{'\t'})
	b = append(append(b, lineSum(line)...), '\t')
	return append(append(b, line...), '\n')
}

// lineSum is the checksum of a record as it stands before it: a random change
// passes with probability 2^-64.
func lineSum(b []byte) string { return fmt.Sprintf("%016x", checksum(b)) }

// splitLine checks a line, with or without its line feed, and returns its n
// fields, which alias the line.
func splitLine(line []byte, n int) ([][]byte, bool) {
	sum, rest, ok := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\t'})
	if !ok || string(sum) != lineSum(rest) {
		return nil, false
	}
	fields := bytes.SplitN(rest, []byte{'\t'}, n)
	return fields, len(fields) == n
}

// quoteField turns any text into one field.
func quoteField(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

func unquoteField(b []byte) (s string, ok bool) {
	return s, json.Unmarshal(b, &s) == nil
}

func intField(v int64) []byte { return strconv.AppendInt(nil, v, 10) }

func parseInt(b []byte) (int64, bool) {
	v, err := strconv.ParseInt(string(b), 10, 64)
	return v, err == nil
}

// appendFile appends whole lines with one write call. If an earlier writer
// left a torn line, it is ended first.
func appendFile(path string, lines []byte) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if fi, err := f.Stat(); err == nil && fi.Size() > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], fi.Size()-1); err == nil && last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	_, err = f.Write(lines)
	return err
}
