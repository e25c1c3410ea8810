package stage

import (
	"bufio"
	"io"
	"sync"
)

// bufferSize is large enough that reading and writing rows is bound by decoding
// them, not by system calls.
const bufferSize = 256 << 10

// Small stages would otherwise spend their time on clearing fresh buffers.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}
)

func getReader(r io.Reader) *bufio.Reader {
	b := readers.Get().(*bufio.Reader)
	b.Reset(r)
	return b
}

func putReader(b *bufio.Reader) {
	b.Reset(nil)
	readers.Put(b)
}

func getWriter(w io.Writer) *bufio.Writer {
	b := writers.Get().(*bufio.Writer)
	b.Reset(w)
	return b
}

func putWriter(b *bufio.Writer) {
	b.Reset(nil)
	writers.Put(b)
}
