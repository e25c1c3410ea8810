package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// A segment file starts with memoHeader. A record is, all numbers little
// endian,
//
//	offset  bytes
//	     0      4  magic "DFMR"
//	     4      4  flags: 1 = the payload is zstd
//	     8      4  payload length
//	    12      4  value length before compression
//	    16     32  key
//	    48      4  CRC-32C of the bytes before
//	    52      n  payload
//	  52+n      8  first 8 bytes of SHA-256(bytes 0..52+n)
//
// The header has its own checksum so that a scan can skip payloads, and a
// reader that meets damage can search for the next record.
const (
	memoName     = "DFMEMO"
	memoVersion  = 1
	memoHeader   = memoName + "1\n"
	memoMagic    = "DFMR"
	memoHead     = 52
	memoTrail    = 8
	memoZstd     = 1
	memoMaxValue = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type memoRecord struct {
	flags       uint32
	stored, raw int
	key         [32]byte
}

func (r memoRecord) size() int64 { return int64(memoHead + r.stored + memoTrail) }

// parseMemoHead reads a record's header from the first memoHead bytes of b.
func parseMemoHead(b []byte) (memoRecord, bool) {
	if len(b) < memoHead || string(b[:4]) != memoMagic ||
		crc32.Checksum(b[:48], castagnoli) != binary.LittleEndian.Uint32(b[48:]) {
		return memoRecord{}, false
	}
	r := memoRecord{
		flags:  binary.LittleEndian.Uint32(b[4:]),
		stored: int(binary.LittleEndian.Uint32(b[8:])),
		raw:    int(binary.LittleEndian.Uint32(b[12:])),
		key:    [32]byte(b[16:48]),
	}
	return r, r.stored <= memoMaxValue && r.raw <= memoMaxValue
}

// memoCodec compresses values. Both halves are safe for several goroutines.
type memoCodec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newMemoCodec() (*memoCodec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("store: memo: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(memoMaxValue))
	if err != nil {
		return nil, fmt.Errorf("store: memo: %w", err)
	}
	return &memoCodec{enc: enc, dec: dec}, nil
}

// encode returns a whole record.
func (c *memoCodec) encode(key [32]byte, value []byte) []byte {
	b := make([]byte, memoHead, memoHead+len(value)/2+memoTrail+64)
	var flags uint32
	b = c.enc.EncodeAll(value, b)
	if len(b)-memoHead < len(value) {
		flags = memoZstd
	} else {
		b = append(b[:memoHead], value...)
	}
	copy(b, memoMagic)
	binary.LittleEndian.PutUint32(b[4:], flags)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-memoHead))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(value)))
	copy(b[16:], key[:])
	binary.LittleEndian.PutUint32(b[48:], crc32.Checksum(b[:48], castagnoli))
	sum := sha256.Sum256(b)
	return append(b, sum[:memoTrail]...)
}

// decode checks a whole record and returns its value.
func (c *memoCodec) decode(r memoRecord, b []byte) ([]byte, bool) {
	body := b[:memoHead+r.stored]
	sum := sha256.Sum256(body)
	if !bytes.Equal(sum[:memoTrail], b[len(body):]) {
		return nil, false
	}
	payload := body[memoHead:]
	if r.flags&memoZstd == 0 {
		return bytes.Clone(payload), len(payload) == r.raw
	}
	value, err := c.dec.DecodeAll(payload, make([]byte, 0, r.raw))
	return value, err == nil && len(value) == r.raw
}

func (c *memoCodec) close() {
	_ = c.enc.Close() // it holds nothing
	c.dec.Close()
}
