package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"

	"github.com/distillflow/distillflow/flow/stage"
)

// A Parquet file says of itself how much it holds, and a few bytes can say 2^31 values.
// The library takes the memory that a file asks for. So what decides that is read before,
// here, and a file that asks for much more than it is gets an error:
//
//   - the footer's length and the lists in it and in the pages' headers;
//   - pages: their sizes, also those to which they really decompress, and the numbers of
//     their values;
//   - the lengths that encodings write: runs, counts of deltas, prefixes of texts.

const (
	// maxFooter bounds the metadata of a file, in bytes.
	maxFooter = 64 << 20
	// maxPageHeader bounds the header of a page, which may hold its least and greatest values.
	maxPageHeader = 16 << 20
	parquetMagic  = "PAR1"
)

// checkFooter compares the numbers in a file's footer with its bytes.
func checkFooter(r io.ReaderAt, size int64) error {
	var end [8]byte
	if size < 12 {
		return errors.New("the file is too short for a Parquet file")
	}
	if _, err := r.ReadAt(end[:], size-8); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	switch {
	case string(end[4:]) != parquetMagic:
		return errors.New("the file does not end as a Parquet file: it is cut short, encrypted or not Parquet")
	case n > size-12:
		return fmt.Errorf("its footer would have %d bytes, the file has %d: it is damaged", n, size)
	case n > maxFooter:
		return fmt.Errorf("its footer has %d bytes; at most %d are read", n, maxFooter)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-8-n); err != nil {
		return err
	}
	// A row group or a column chunk takes at least so much of the file.
	t := thriftBounds{b: b, budget: 1<<16 + int(size/64)}
	if err := t.structure(0); err != nil {
		return fmt.Errorf("the Parquet file is damaged: %w", err)
	}
	return nil
}

// parquetBounds counts what the pages of a file ask for.
type parquetBounds struct {
	r      io.ReaderAt
	size   int64
	most   int64 // bytes that they may, at once
	left   int64 // bytes that they may, all together
	rows   int64 // bytes that rows may have, all together
	header []byte
	packed []byte // a page as it lies in the file
	zstd   *zstd.Decoder
}

func newParquetBounds(r io.ReaderAt, size int64) *parquetBounds {
	most := max(maxExpanded, size*maxRatio)
	return &parquetBounds{r: r, size: size, most: most, left: most, rows: most}
}

func (p *parquetBounds) close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
}

// errExpands says that a file is a bomb, or as good as one.
var errExpands = fmt.Errorf("the file holds more than %d MiB and more than %d times its size: decompress it, and name the result if it is sound", maxExpanded>>20, maxRatio)

// spend takes bytes off what a file may ask for.
func (p *parquetBounds) spend(n int64) error {
	if p.left -= n; p.left < 0 {
		return errExpands
	}
	return nil
}

// row counts a row of so many bytes.
func (p *parquetBounds) row(size int) error {
	if size > stage.MaxLine {
		return fmt.Errorf("it is longer than %d MiB", stage.MaxLine>>20)
	}
	if p.rows -= int64(size); p.rows < 0 {
		return errExpands
	}
	return nil
}

// group checks the pages of a row group before they are read. Chunks of columns are in the
// order of the leaves of the schema.
func (p *parquetBounds) group(g *format.RowGroup, leaves []*parquet.Column) error {
	if len(g.Columns) != len(leaves) {
		return fmt.Errorf("a row group has %d columns, the schema %d", len(g.Columns), len(leaves))
	}
	var atOnce int64 // one page of each column is in memory
	for i, leaf := range leaves {
		largest, err := p.chunk(&g.Columns[i].MetaData, leaf)
		if err == nil && largest > p.most-atOnce {
			err = errExpands
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", leaf.Name(), err)
		}
		atOnce += largest
	}
	return nil
}

// leavesOf lists the columns that hold values.
func leavesOf(c *parquet.Column) []*parquet.Column {
	if c.Leaf() {
		return []*parquet.Column{c}
	}
	var all []*parquet.Column
	for _, inner := range c.Columns() {
		all = append(all, leavesOf(inner)...)
	}
	return all
}

// pageColumn is what a page's bytes mean.
type pageColumn struct {
	codec    format.CompressionCodec
	kind     parquet.Kind
	width    int64 // bytes that a value takes in memory, those of texts aside
	rep, def int   // the greatest levels
}

// chunk checks the pages of a column and gives the bytes that the largest takes in memory.
func (p *parquetBounds) chunk(meta *format.ColumnMetaData, leaf *parquet.Column) (largest int64, err error) {
	from := meta.DataPageOffset
	if meta.DictionaryPageOffset != 0 {
		from = meta.DictionaryPageOffset
	}
	if from < 0 || from > p.size || meta.TotalCompressedSize < 0 || meta.TotalCompressedSize > p.size-from {
		return 0, fmt.Errorf("its %d bytes at %d are not in the file of %d", meta.TotalCompressedSize, from, p.size)
	}
	to := from + meta.TotalCompressedSize
	// All chunks of a column are decompressed as its first one is.
	col := pageColumn{codec: leaf.Compression().CompressionCodec(), kind: leaf.Type().Kind(), rep: leaf.MaxRepetitionLevel(), def: leaf.MaxDefinitionLevel(), width: 4}
	if col.kind == parquet.FixedLenByteArray {
		col.width += int64(max(0, leaf.Type().Length()))
	}
	if col.rep > 0 {
		col.width += 64 // all values of a row are there at once
	}
	for from < to {
		h, n, err := p.pageHeader(from, to)
		if err != nil {
			return 0, fmt.Errorf("the page at byte %d: %w", from, err)
		}
		begin := from + int64(n)
		size := int64(h.CompressedPageSize)
		if size < 0 || size > to-begin || h.UncompressedPageSize < 0 {
			return 0, fmt.Errorf("the page at byte %d has %d bytes, %d are left", from, size, to-begin)
		}
		memory, err := p.page(col, h, begin, size)
		if err != nil {
			return 0, fmt.Errorf("the page at byte %d: %w", from, err)
		}
		largest = max(largest, memory)
		from = begin + size
	}
	return largest, nil
}

// pageHeader reads the header of a page and says how many bytes it takes.
func (p *parquetBounds) pageHeader(from, to int64) (*format.PageHeader, int, error) {
	for window := int64(4 << 10); ; window *= 8 {
		n := min(window, to-from)
		if int64(cap(p.header)) < n {
			p.header = make([]byte, n)
		}
		b := p.header[:n]
		if _, err := p.r.ReadAt(b, from); err != nil {
			return nil, 0, err
		}
		t := thriftBounds{b: b, budget: 1 << 12}
		err := t.structure(0)
		if errors.Is(err, errThriftShort) && n < to-from && n < maxPageHeader {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		h := &format.PageHeader{}
		err = thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(bytes.NewReader(b[:t.at]))).Decode(h)
		return h, t.at, err
	}
}

// page checks one page, whose header has been read, and gives the bytes that it takes in
// memory.
func (p *parquetBounds) page(c pageColumn, h *format.PageHeader, at, size int64) (memory int64, err error) {
	var values int32
	switch h.Type {
	case format.DataPage:
		values = h.DataPageHeader.V.NumValues
	case format.DataPageV2:
		values = h.DataPageHeaderV2.V.NumValues
	case format.DictionaryPage:
		values = h.DictionaryPageHeader.V.NumValues
	default:
		return 0, nil // the library refuses it
	}
	n, unpacked := int(values), int(h.UncompressedPageSize)
	if n < 0 {
		return 0, fmt.Errorf("%d values", n)
	}
	if err := p.spend(int64(unpacked) + int64(n)); err != nil {
		return 0, err
	}
	if n > 0 && c.width > p.most/int64(n) {
		return 0, errExpands
	}
	memory = int64(unpacked) + int64(n)*c.width
	p.packed = slices.Grow(p.packed[:0], int(size))
	b := p.packed[:size]
	if _, err := p.r.ReadAt(b, at); err != nil {
		return 0, err
	}
	switch h.Type {
	case format.DataPage:
		return memory, p.dataPage(c, h, n, b)
	case format.DataPageV2:
		return memory, p.dataPageV2(c, h, n, b)
	}
	if e := h.DictionaryPageHeader.V.Encoding; e != format.Plain && e != plainDictionary {
		return 0, fmt.Errorf("a dictionary in the encoding %s", e)
	}
	_, err = p.unpack(c.codec, b, unpacked)
	return memory, err
}

// dataPage checks a page whose levels are packed with its values.
func (p *parquetBounds) dataPage(c pageColumn, h *format.PageHeader, n int, b []byte) error {
	v := h.DataPageHeader.V
	b, err := p.unpack(c.codec, b, int(h.UncompressedPageSize))
	if err != nil {
		return err
	}
	for _, l := range []struct {
		greatest int
		encoding format.Encoding
	}{{c.rep, v.RepetitionLevelEncoding}, {c.def, v.DefinitionLevelEncoding}} {
		if l.greatest == 0 {
			continue
		}
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return io.ErrUnexpectedEOF
		}
		size := binary.LittleEndian.Uint32(b)
		if err := checkLevels(l.encoding, b[4:4+size], n, l.greatest); err != nil {
			return err
		}
		b = b[4+size:]
	}
	return p.values(c, v.Encoding, b, n)
}

// dataPageV2 checks a page whose levels stand in front, never compressed.
func (p *parquetBounds) dataPageV2(c pageColumn, h *format.PageHeader, n int, b []byte) error {
	v := h.DataPageHeaderV2.V
	for _, l := range []struct {
		greatest int
		size     int32
	}{{c.rep, v.RepetitionLevelsByteLength}, {c.def, v.DefinitionLevelsByteLength}} {
		if l.size < 0 || int64(l.size) > int64(len(b)) {
			return io.ErrUnexpectedEOF
		}
		if l.greatest > 0 {
			if err := checkLevels(format.RLE, b[:l.size], n, l.greatest); err != nil {
				return err
			}
		}
		b = b[l.size:]
	}
	if !v.IsCompressed.Valid || v.IsCompressed.V {
		var err error
		if b, err = p.unpack(c.codec, b, int(h.UncompressedPageSize)); err != nil {
			return err
		}
	}
	return p.values(c, v.Encoding, b, n)
}

// plainDictionary is an encoding that the format calls deprecated, and older writers use.
const plainDictionary = format.Encoding(2)

// values checks the lengths that an encoding writes.
func (p *parquetBounds) values(c pageColumn, e format.Encoding, b []byte, n int) error {
	switch e {
	case format.RLEDictionary, plainDictionary:
		if len(b) == 0 {
			return nil
		}
		return checkRuns(b[1:], n, int(b[0]))
	case format.RLE:
		if c.kind != parquet.Boolean {
			return errors.New("the encoding RLE is for booleans")
		}
		if len(b) < 4 {
			return io.ErrUnexpectedEOF
		}
		return checkRuns(b[4:], n, 1)
	case format.DeltaBinaryPacked:
		_, _, err := deltas(b, n, false)
		return err
	case format.DeltaLengthByteArray:
		_, _, err := deltas(b, n, false)
		return err
	case format.DeltaByteArray:
		prefix, b, err := deltas(b, n, true)
		if err != nil {
			return err
		}
		if err := p.spend(prefix); err != nil {
			return err
		}
		_, _, err = deltas(b, n, false)
		return err
	}
	return nil // what they decode to is as long as they are, or their values many
}

var errRuns = errors.New("its runs hold more than its values")

func checkLevels(e format.Encoding, b []byte, n, greatest int) error {
	if e != format.RLE {
		return nil // what they decode to is eight times as long as they are, at most
	}
	width := 0
	for ; greatest > 0; greatest >>= 1 {
		width++
	}
	return checkRuns(b, n, width)
}

// checkRuns compares the runs of the hybrid encoding of run lengths with a number of
// values. The last run may be filled up.
func checkRuns(b []byte, n, width int) error {
	left := uint64(2*n + 1024)
	for len(b) > 0 {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return io.ErrUnexpectedEOF
		}
		b = b[k:]
		count, size := v>>1, uint64(width+7)/8
		if v&1 != 0 { // count groups of eight
			if count > left {
				return errRuns
			}
			size, count = count*uint64(width), count*8
		}
		if count > left {
			return errRuns
		}
		left -= count
		b = b[min(size, uint64(len(b))):]
	}
	return nil
}

// deltas reads numbers that are written as differences, n at most, and gives their sum
// and what is behind them. Without sum it reads no further than their count.
func deltas(b []byte, n int, sum bool) (total int64, rest []byte, err error) {
	var head [3]uint64 // size of a block, its parts, values
	for i := range head {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		head[i], b = v, b[k:]
	}
	if head[2] > uint64(n) {
		return 0, nil, fmt.Errorf("%d numbers for %d values", head[2], n)
	}
	if head[0] > 1<<16 || head[1] == 0 || head[1] > head[0] || head[0]%head[1] != 0 {
		return 0, nil, fmt.Errorf("%d numbers in %d parts", head[0], head[1])
	}
	value, k := binary.Varint(b)
	if k <= 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if !sum || head[2] == 0 {
		return 0, b[k:], nil
	}
	b = b[k:]
	each, left := int(head[0]/head[1]), int(head[2])-1
	add := func() error {
		if value < 0 || value > maxExpanded {
			return fmt.Errorf("a length of %d", value)
		}
		total += value
		return nil
	}
	if err := add(); err != nil {
		return 0, nil, err
	}
	for left > 0 {
		least, k := binary.Varint(b)
		if k <= 0 || len(b)-k < int(head[1]) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		widths := b[k : k+int(head[1])]
		b = b[k+int(head[1]):]
		for _, w := range widths {
			if left <= 0 {
				break
			}
			size := (each*int(w) + 7) / 8
			if w > 64 || size > len(b) {
				return 0, nil, io.ErrUnexpectedEOF
			}
			for i := 0; i < each && left > 0; i++ {
				value += least + int64(bitsAt(b, i*int(w), int(w)))
				if err := add(); err != nil {
					return 0, nil, err
				}
				left--
			}
			b = b[size:]
		}
	}
	return total, b, nil
}

// bitsAt reads width bits from a bit on, the lowest first.
func bitsAt(b []byte, at, width int) (v uint64) {
	for i := range width {
		v |= uint64(b[(at+i)/8]>>((at+i)%8)&1) << i
	}
	return v
}

// unpack decompresses a page to size bytes at most. More is an error: the library would
// go on.
func (p *parquetBounds) unpack(codec format.CompressionCodec, b []byte, size int) ([]byte, error) {
	tooMuch := fmt.Errorf("it decompresses to more than its %d bytes", size)
	var r io.Reader
	switch codec {
	case format.Uncompressed:
		return b, nil
	case format.Snappy:
		if n, err := snappy.DecodedLen(b); err != nil {
			return nil, err
		} else if n > size {
			return nil, tooMuch
		}
		return snappy.Decode(nil, b)
	case format.Lz4Raw:
		out := make([]byte, size)
		n, err := lz4.UncompressBlock(b, out)
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		return out[:n], nil
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		r = z
	case format.Zstd:
		if p.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			p.zstd = z
		}
		if err := p.zstd.Reset(bytes.NewReader(b)); err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		r = p.zstd
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(b))
	default:
		return nil, fmt.Errorf("the compression %s is not read: write the file again with snappy or zstd", codec)
	}
	out := bytes.NewBuffer(make([]byte, 0, min(size, 4*len(b)+512)))
	if _, err := io.Copy(out, io.LimitReader(r, int64(size)+1)); err != nil {
		return nil, fmt.Errorf("decompressing: %w", err)
	}
	if out.Len() > size {
		return nil, tooMuch
	}
	return out.Bytes(), nil
}
