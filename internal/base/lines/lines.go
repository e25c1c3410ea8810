// Package lines reads the lines of files that anybody may have damaged: one without an end
// takes no memory.
package lines

import (
	"bufio"
	"errors"
	"io"
	"iter"
)

// Line is one line of a stream. Text is valid until the next one.
type Line struct {
	Text []byte // without the line feed; nil of a line that is longer than the limit
	Size int64  // in bytes, with the line feed
	Long bool   // it is longer than the limit
	Cut  bool   // the stream ended before a line feed came
}

// Of gives the lines of a stream, of at most so many bytes each. A longer one is told of and
// passed over. A read error ends it.
func Of(r io.Reader, most int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		b := bufio.NewReaderSize(r, 64<<10)
		var text []byte
		for size := int64(0); ; {
			part, err := b.ReadSlice('\n')
			size += int64(len(part))
			if errors.Is(err, bufio.ErrBufferFull) || err == nil || errors.Is(err, io.EOF) {
				if size <= int64(most) {
					text = append(text, part...)
				}
			}
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case errors.Is(err, io.EOF) && size == 0:
				return
			case err != nil && !errors.Is(err, io.EOF):
				yield(Line{}, err)
				return
			}
			l := Line{Text: text, Size: size, Cut: err != nil}
			if l.Long = size > int64(most); l.Long {
				l.Text = nil
			} else if !l.Cut {
				l.Text = text[:len(text)-1]
			}
			if !yield(l, nil) || l.Cut {
				return
			}
			text, size = text[:0], 0
		}
	}
}
