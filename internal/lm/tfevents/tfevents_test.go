package tfevents

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var rows = []Scalar{
	{Step: 1, WallTime: 1.5e9, Tag: "train/loss", Value: 2.5},
	{Step: 1, WallTime: 1.5e9, Tag: "train/lr", Value: 1e-4},
	{Step: 1 << 40, WallTime: 1.5e9 + 0.25, Tag: "train/loss", Value: -0.125},
	{Step: 0, WallTime: 1.5e9 + 1, Tag: "dev/verlust \u00fc", Value: math.Inf(1)},
}

// golden is a file that TensorBoard's own reader gave the rows above for, see
// tools/oracle/tfevents/check.py.
const golden = "testdata/" + FilePrefix + "golden"

func TestGolden(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("DISTILLFLOW_UPDATE") != "" {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the bytes differ from %s", golden)
	}
	// What TensorBoard read from it.
	data, err := os.ReadFile(filepath.Join("testdata", "tensorboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read map[string][]struct {
		Step  int64
		Time  float64
		Value string
	}
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		list := read[r.Tag]
		if len(list) == 0 {
			t.Fatalf("TensorBoard did not read %s of step %d", r.Tag, r.Step)
		}
		read[r.Tag] = list[1:]
		value, err := strconv.ParseFloat(list[0].Value, 32)
		if err != nil {
			t.Fatal(err)
		}
		if g := list[0]; g.Step != r.Step || g.Time != r.WallTime || float32(value) != float32(r.Value) {
			t.Errorf("TensorBoard read %+v, want %+v", g, r)
		}
	}
	for tag, left := range read {
		if len(left) > 0 {
			t.Errorf("TensorBoard read more of %s: %+v", tag, left)
		}
	}
}

// The checksum of nine digits is the one that the definition of CRC-32C gives.
func TestMask(t *testing.T) {
	const crc = 0xe3069283
	if got := masked([]byte("123456789")) - 0xa282ead8; got>>17|got<<15 != crc {
		t.Errorf("%#x", got)
	}
}

// Every record can be walked, and holds what was written.
func TestRecords(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	rest := b.Bytes()
	var events [][]byte
	for len(rest) > 0 {
		n := binary.LittleEndian.Uint64(rest)
		if binary.LittleEndian.Uint32(rest[8:]) != masked(rest[:8]) {
			t.Fatal("the checksum of a length is wrong")
		}
		data := rest[12 : 12+n]
		if binary.LittleEndian.Uint32(rest[12+n:]) != masked(data) {
			t.Fatal("the checksum of a record is wrong")
		}
		events, rest = append(events, data), rest[16+n:]
	}
	if len(events) != 1+len(rows) || !bytes.Contains(events[0], []byte("brain.Event:2")) {
		t.Fatalf("%d records", len(events))
	}
	for i, e := range events {
		for len(e) > 0 {
			_, _, n := protowire.ConsumeField(e)
			if n < 0 {
				t.Fatalf("record %d: %v", i, protowire.ParseError(n))
			}
			e = e[n:]
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestErrors(t *testing.T) {
	for want, r := range map[string]Scalar{"no tag": {}, "not a number": {Tag: "x", WallTime: math.NaN()}} {
		var b bytes.Buffer
		if err := Write(&b, []Scalar{{Tag: "a"}, r}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "scalar 1") || b.Len() > 0 {
			t.Errorf("%v, %d bytes, want %s", err, b.Len(), want)
		}
	}
	if err := Write(full{}, nil); err == nil {
		t.Error("no error")
	}
	var b bytes.Buffer
	if err := Write(&b, nil); err != nil || b.Len() == 0 {
		t.Errorf("an empty file: %v, %d bytes", err, b.Len())
	}
}
