// Package tfevents writes scalars as TensorBoard reads them: an event file of
// TensorFlow, which is a sequence of records (TFRecord) of protocol buffers (Event).
//
// A record is the length of its data in 8 bytes, little endian; the masked CRC-32C of
// these 8 bytes in 4; the data; and the masked CRC-32C of the data in 4. See
// https://www.tensorflow.org/tutorials/load_data/tfrecord for the framing and
// tensorflow/core/util/event.proto and framework/summary.proto for the messages.
package tfevents

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// FilePrefix is how the name of an event file begins; readers look for it. What
// follows is free, such as "0.train".
const FilePrefix = "events.out.tfevents."

// Scalar is one point of a curve.
type Scalar struct {
	Step     int64
	WallTime float64 // seconds since 1970
	Tag      string  // the curve, such as train/loss; parts before a slash group curves
	Value    float64 // stored as float32; NaN and infinities are shown as such
}

// Write writes an event file: its version, then one event for every row, in the order
// given. The same rows give the same bytes. A row without a tag, or whose time is no
// number, is an error; nothing is written then.
func Write(w io.Writer, rows []Scalar) error {
	for i, r := range rows {
		if r.Tag == "" {
			return fmt.Errorf("scalar %d has no tag", i)
		}
		if r.WallTime-r.WallTime != 0 {
			return fmt.Errorf("scalar %d (%s): the time %v is not a number", i, r.Tag, r.WallTime)
		}
	}
	start := 0.0
	if len(rows) > 0 {
		start = rows[0].WallTime
	}
	// Event: wall_time = 1, step = 2, file_version = 3, summary = 5.
	first := double(nil, 1, start)
	first = protowire.AppendString(protowire.AppendTag(first, 3, protowire.BytesType), "brain.Event:2")
	if err := record(w, first); err != nil {
		return err
	}
	for _, r := range rows {
		// Summary: value = 1; Summary.Value: tag = 1, simple_value = 2.
		var value, summary []byte
		value = protowire.AppendString(protowire.AppendTag(value, 1, protowire.BytesType), r.Tag)
		value = protowire.AppendFixed32(protowire.AppendTag(value, 2, protowire.Fixed32Type), math.Float32bits(float32(r.Value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, 1, protowire.BytesType), value)
		event := double(nil, 1, r.WallTime)
		event = protowire.AppendVarint(protowire.AppendTag(event, 2, protowire.VarintType), uint64(r.Step))
		event = protowire.AppendBytes(protowire.AppendTag(event, 5, protowire.BytesType), summary)
		if err := record(w, event); err != nil {
			return err
		}
	}
	return nil
}

func double(b []byte, num protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), math.Float64bits(v))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is a checksum turned and shifted, so that one over data that itself holds
// checksums is a good one.
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func record(w io.Writer, data []byte) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, masked(data))
	_, err := w.Write(b)
	return err
}
