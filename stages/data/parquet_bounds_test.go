package data

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// forged is a Parquet file of one column, question, whose every number is ours to choose.
type forged struct {
	repetition format.FieldRepetitionType
	kind       format.Type
	length     int32 // of FIXED_LEN_BYTE_ARRAY
	codec      format.CompressionCodec
	pages      [][]byte
	meta       func(*format.FileMetaData)
}

func (x forged) bytes(t testing.TB) []byte {
	body := bytes.Join(x.pages, nil)
	root := format.SchemaElement{Name: "root"}
	root.NumChildren.V, root.NumChildren.Valid = 1, true
	leaf := format.SchemaElement{Name: "question"}
	leaf.Type.V, leaf.Type.Valid = x.kind, true
	leaf.RepetitionType.V, leaf.RepetitionType.Valid = x.repetition, true
	if x.length > 0 {
		leaf.TypeLength.V, leaf.TypeLength.Valid = x.length, true
	}
	m := &format.FileMetaData{
		Version: 1, NumRows: 1, Schema: thrift.Slice[format.SchemaElement]{root, leaf},
		RowGroups: thrift.Slice[format.RowGroup]{{
			NumRows: 1, TotalByteSize: int64(len(body)),
			Columns: thrift.Slice[format.ColumnChunk]{{MetaData: format.ColumnMetaData{
				Type: x.kind, Encoding: thrift.Slice[format.Encoding]{format.Plain}, PathInSchema: thrift.Slice[string]{"question"},
				Codec: x.codec, NumValues: 1, TotalUncompressedSize: int64(len(body)), TotalCompressedSize: int64(len(body)), DataPageOffset: 4,
			}}},
		}},
	}
	if x.meta != nil {
		x.meta(m)
	}
	foot, err := thrift.Marshal(new(thrift.CompactProtocol), m)
	if err != nil {
		t.Fatal(err)
	}
	return parquetOf(body, foot)
}

// parquetOf puts a body and a footer between the marks of the format.
func parquetOf(body, foot []byte) []byte {
	b := append([]byte(parquetMagic), body...)
	b = append(b, foot...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(foot)))
	return append(b, parquetMagic...)
}

// pageOf is a page of format's first version.
func pageOf(t testing.TB, values, unpacked int32, e format.Encoding, payload []byte) []byte {
	h := format.PageHeader{Type: format.DataPage, UncompressedPageSize: unpacked, CompressedPageSize: int32(len(payload))}
	h.DataPageHeader.Valid = true
	h.DataPageHeader.V = format.DataPageHeader{NumValues: values, Encoding: e, RepetitionLevelEncoding: format.RLE, DefinitionLevelEncoding: format.RLE}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &h)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, payload...)
}

func dictionaryOf(t testing.TB, values int32, payload []byte) []byte {
	h := format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: int32(len(payload)), CompressedPageSize: int32(len(payload))}
	h.DictionaryPageHeader.Valid = true
	h.DictionaryPageHeader.V = format.DictionaryPageHeader{NumValues: values, Encoding: format.Plain}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &h)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, payload...)
}

// text is a value of BYTE_ARRAY.
func parquetText(s string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// runOf is a run of one value.
func runOf(count uint64, value ...byte) []byte {
	return append(binary.AppendUvarint(nil, count<<1), value...)
}

// level is a stream of levels with its length in front.
func level(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// Files that ask for much more than they are get an error, and no memory.
func TestParquetBombs(t *testing.T) {
	plain := func(t *testing.T) [][]byte {
		return [][]byte{pageOf(t, 1, 5, format.Plain, parquetText("x"))}
	}
	huge := int32(math.MaxInt32)
	zeros := make([]byte, 64<<20)
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	// A delta-packed list: its count, and no differences.
	same := func(count uint64, value int64) []byte {
		b := binary.AppendUvarint(nil, 128)
		b = binary.AppendUvarint(b, 4)
		b = binary.AppendUvarint(b, count)
		b = binary.AppendVarint(b, value)
		for n := uint64(1); n < count; n += 128 {
			b = append(binary.AppendVarint(b, 0), 0, 0, 0, 0)
		}
		return b
	}
	for title, c := range map[string]struct {
		file forged
		raw  []byte
		want string // of the error; "" reads
	}{
		"sound":              {file: forged{kind: format.ByteArray, pages: plain(t)}},
		"a footer of 4 GiB":  {raw: []byte("PAR1PAR1\xff\xff\xff\xffPAR1"), want: "its footer would have 4294967295 bytes"},
		"a list of 2^31":     {raw: parquetOf(nil, []byte("\x15\x02\x19\xfc\xff\xff\xff\xff\x07")), want: "counts more than there is"},
		"a text of 2^31":     {raw: parquetOf(nil, []byte("\x15\x02\x68\xff\xff\xff\xff\x07")), want: "counts more than there is"},
		"a map of 2^31":      {raw: parquetOf(nil, []byte("\x15\x02\x1b\xff\xff\xff\xff\x07\x88")), want: "counts more than there is"},
		"a list of nothing":  {raw: parquetOf(nil, append([]byte("\x15\x02\x19\xfc\x80\x80\x40"), make([]byte, 1<<20)...)), want: "lists more than a file of this size"},
		"structs in structs": {raw: parquetOf(nil, bytes.Repeat([]byte{0x1c}, 1<<20)), want: "nests more than 32 deep"},
		"lists in lists":     {raw: parquetOf(nil, bytes.Repeat([]byte{0x19}, 1<<20)), want: "nests more than 32 deep"},
		"a column beyond":    {file: forged{kind: format.ByteArray, pages: plain(t), meta: func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].MetaData.DataPageOffset = 1 << 60 }}, want: "are not in the file"},
		"a column before":    {file: forged{kind: format.ByteArray, pages: plain(t), meta: func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].MetaData.DataPageOffset = -5 }}, want: "are not in the file"},
		"a column of all bytes": {file: forged{kind: format.ByteArray, pages: plain(t), meta: func(m *format.FileMetaData) {
			m.RowGroups[0].Columns[0].MetaData.TotalCompressedSize = math.MaxInt64
		}}, want: "are not in the file"},
		"no columns, many rows": {file: forged{kind: format.ByteArray, pages: plain(t), meta: func(m *format.FileMetaData) {
			m.NumRows, m.RowGroups[0].NumRows, m.RowGroups[0].Columns = 1<<60, 1<<60, nil
			m.Schema = m.Schema[:1]
			m.Schema[0].NumChildren.V = 0
		}}, want: "rows have no columns"},
		"many rows, one value": {file: forged{kind: format.ByteArray, pages: plain(t), meta: func(m *format.FileMetaData) {
			m.NumRows, m.RowGroups[0].NumRows, m.RowGroups[0].Columns[0].MetaData.NumValues = 1<<60, 1<<60, 1<<60
		}}},
		"a page of 2 GiB":           {file: forged{kind: format.ByteArray, codec: format.Snappy, pages: [][]byte{pageOf(t, 1, huge, format.Plain, snappy.Encode(nil, parquetText("x")))}}, want: "holds more than 256 MiB"},
		"a page of 2^31 values":     {file: forged{kind: format.Int64, pages: [][]byte{pageOf(t, huge, 8, format.Plain, make([]byte, 8))}}, want: "holds more than 256 MiB"},
		"a dictionary of 2^31":      {file: forged{kind: format.ByteArray, pages: [][]byte{dictionaryOf(t, huge, parquetText("x")), pageOf(t, 1, 3, format.RLEDictionary, []byte{0, 2, 0})}}, want: "holds more than 256 MiB"},
		"values of 2 GiB":           {file: forged{kind: format.FixedLenByteArray, length: huge, pages: [][]byte{pageOf(t, 4096, 8, format.Plain, make([]byte, 8))}}, want: "holds more than 256 MiB"},
		"a page beyond":             {file: forged{kind: format.ByteArray, pages: [][]byte{pageOf(t, 1, 5, format.Plain, parquetText("x"))[:12]}}, want: "byte 4"},
		"a header with a 2^31 text": {file: forged{kind: format.ByteArray, pages: [][]byte{[]byte("\x15\x00\x15\x0a\x15\x0a\x2c\x15\x02\x15\x00\x15\x06\x15\x06\x1c\x18\xff\xff\xff\xff\x07")}}, want: "counts more than there is"},
		"snappy that swells":        {file: forged{kind: format.ByteArray, codec: format.Snappy, pages: [][]byte{pageOf(t, 1, 5, format.Plain, snappy.Encode(nil, zeros))}}, want: "it decompresses to more than its 5 bytes"},
		"gzip that swells":          {file: forged{kind: format.ByteArray, codec: format.Gzip, pages: [][]byte{pageOf(t, 1, 5, format.Plain, []byte(gzipped(t, string(zeros))))}}, want: "it decompresses to more than its 5 bytes"},
		"zstd that swells":          {file: forged{kind: format.ByteArray, codec: format.Zstd, pages: [][]byte{pageOf(t, 1, 5, format.Plain, zw.EncodeAll(zeros, nil))}}, want: "it decompresses to more than its 5 bytes"},
		"lz4 without an end":        {file: forged{kind: format.ByteArray, codec: format.Lz4Raw, pages: [][]byte{pageOf(t, 1, 5, format.Plain, []byte("\xff\x00\xff\xff"))}}, want: "decompressing"},
		"a codec without a reader":  {file: forged{kind: format.ByteArray, codec: format.Lz4, pages: plain(t)}, want: "write the file again with snappy or zstd"},
		"a run of levels of 2^31":   {file: forged{kind: format.ByteArray, repetition: format.Optional, pages: [][]byte{pageOf(t, 1, 100, format.Plain, append(level(runOf(1<<31-1, 0)), parquetText("x")...))}}, want: "its runs hold more"},
		"many runs of indexes":      {file: forged{kind: format.ByteArray, pages: [][]byte{dictionaryOf(t, 1, parquetText("x")), pageOf(t, 1, 1<<16, format.RLEDictionary, append([]byte{0}, bytes.Repeat(runOf(1<<30), 1000)...))}}, want: "its runs hold more"},
		"packed runs without width": {file: forged{kind: format.ByteArray, pages: [][]byte{dictionaryOf(t, 1, parquetText("x")), pageOf(t, 1, 100, format.RLEDictionary, append([]byte{0}, binary.AppendUvarint(nil, 1<<30|1)...))}}, want: "its runs hold more"},
		"2^31 differences":          {file: forged{kind: format.Int64, pages: [][]byte{pageOf(t, 1, 100, format.DeltaBinaryPacked, same(1<<31-1, 0)[:12])}}, want: "2147483647 numbers for 1 values"},
		"prefixes of prefixes":      {file: forged{kind: format.ByteArray, pages: [][]byte{pageOf(t, 1<<16, 1<<20, format.DeltaByteArray, bytes.Join([][]byte{same(1<<16, 1<<16), same(1<<16, 0)}, nil))}}, want: "holds more than 256 MiB"},
		"a negative length":         {file: forged{kind: format.ByteArray, pages: [][]byte{pageOf(t, 2, 100, format.DeltaByteArray, append(same(2, -1), same(2, 0)...))}}, want: "a length of -1"},
		"one long text, many times": {file: forged{kind: format.ByteArray, repetition: format.Repeated, pages: [][]byte{dictionaryOf(t, 1, parquetText(strings.Repeat("x", 1<<16))), pageOf(t, 1<<17, 100, format.RLEDictionary, bytes.Join([][]byte{level(append(runOf(1, 0), runOf(1<<17-1, 1)...)), level(runOf(1<<17, 1)), append([]byte{1}, runOf(1<<17, 0)...)}, nil))}}, want: "longer than 256 MiB"},
		"one long text, many rows": {file: forged{kind: format.ByteArray, pages: [][]byte{dictionaryOf(t, 1, parquetText(strings.Repeat("x", 1<<16))), pageOf(t, 1<<14, 100, format.RLEDictionary, append([]byte{1}, runOf(1<<14, 0)...))}, meta: func(m *format.FileMetaData) {
			m.NumRows, m.RowGroups[0].NumRows, m.RowGroups[0].Columns[0].MetaData.NumValues = 1<<14, 1<<14, 1<<14
		}}, want: "holds more than 256 MiB"},
		"values of one row": {file: forged{kind: format.Boolean, repetition: format.Repeated, pages: [][]byte{pageOf(t, 1<<28, 100, format.RLE, bytes.Join([][]byte{level(append(runOf(1, 0), runOf(1<<28-1, 1)...)), level(runOf(1<<28, 1)), level(runOf(1<<28, 1))}, nil))}}, want: "holds more than 256 MiB"},
	} {
		t.Run(title, func(t *testing.T) {
			if testing.Short() && title == "one long text, many rows" {
				t.Skip("it writes 256 MiB of JSON")
			}
			b := c.raw
			if b == nil {
				b = c.file.bytes(t)
			}
			path := put(t, "x.parquet", b)
			rows := 0
			// The rows of "one long text, many rows" are read until there are too many.
			alloctest.Within(t, len(b), 100, 1<<30+64<<20, func() {
				err := eachParquetRow(t.Context(), path, func(int, []byte) error { rows++; return nil })
				switch {
				case c.want == "" && (err != nil || rows != 1):
					t.Errorf("%d rows, %v", rows, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path)):
					t.Errorf("error %v, want one that names the file and %q", err, c.want)
				}
			})
			_, _ = parquetRows(path) // must not panic
		})
	}
}

type fuzzRow struct {
	Question string           `parquet:"question"`
	Answer   *string          `parquet:"answer,optional"`
	N        int64            `parquet:"n,delta"`
	F        float64          `parquet:"f,split"`
	On       bool             `parquet:"on"`
	Choices  []string         `parquet:"choices,dict"`
	Lists    []int32          `parquet:"lists"`
	More     map[string]int64 `parquet:"more"`
	Prefix   string           `parquet:"prefix,delta"`
}

// Any bytes are rows of JSON or an error that names the file, within bounds of memory.
func FuzzParquet(f *testing.F) {
	yes := "yes"
	rows := []fuzzRow{{Question: "1+1?", Answer: &yes, N: 3, F: 0.5, On: true, Choices: []string{"a", "b", "a"}, Lists: []int32{1, 2}, More: map[string]int64{"x": 1}, Prefix: "abc"}, {Question: "q", N: -1, Prefix: "abd"}}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Brotli, &parquet.Lz4Raw} {
		for version := 1; version <= 2; version++ {
			var b bytes.Buffer
			w := parquet.NewGenericWriter[fuzzRow](&b, parquet.Compression(codec), parquet.DataPageVersion(version))
			if _, err := w.Write(rows); err != nil {
				f.Fatal(err)
			}
			if err := w.Close(); err != nil {
				f.Fatal(err)
			}
			f.Add(b.Bytes())
		}
	}
	f.Add(forged{kind: format.ByteArray, pages: [][]byte{pageOf(f, 1, 5, format.Plain, parquetText("x"))}}.bytes(f))
	f.Add([]byte("PAR1PAR1\xff\xff\xff\xffPAR1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		path := put(t, "x.parquet", b)
		alloctest.Within(t, len(b), 100, 2<<30, func() {
			n := 0
			err := eachParquetRow(t.Context(), path, func(number int, line []byte) error {
				if n++; number != n {
					t.Errorf("row %d is called %d", n, number)
				}
				if n > 10_000 {
					return io.ErrShortBuffer
				}
				return nil
			})
			if err != nil && n <= 10_000 && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
			if _, err := parquetRows(path); err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
		})
	})
}
