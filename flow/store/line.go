package store

import (
	"bytes"
	"encoding/json"
	"errors"
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
	start := len(b)
	b = append(b, "0123456789abcdef"...)
	for _, f := range fields {
		b = append(b, '\t')
		b = append(b, f...)
	}
	putHex(b[start:start+16], checksum(b[start+17:]))
	return append(b, '\n')
}

// splitLine checks a line, with or without its line feed, and returns its n
// fields, which alias the line.
func splitLine(line []byte, n int) ([][]byte, bool) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if len(line) < 17 || line[16] != '\t' {
		return nil, false
	}
	var want [16]byte
	putHex(want[:], checksum(line[17:]))
	if !bytes.Equal(want[:], line[:16]) {
		return nil, false
	}
	fields := bytes.SplitN(line[17:], []byte{'\t'}, n)
	return fields, len(fields) == n
}

func putHex(dst []byte, v uint64) {
	const digits = "0123456789abcdef"
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = digits[v&15]
		v >>= 4
	}
}

// quoteField turns any text into one field.
func quoteField(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

func unquoteField(b []byte) (string, bool) {
	if len(b) >= 2 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && b[len(b)-1] == '"' {
		return string(b[1 : len(b)-1]), true
	}
	var s string
	err := json.Unmarshal(b, &s)
	return s, err == nil
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
