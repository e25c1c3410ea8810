package track

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// wandb writes the folder of an offline run: offline-run-TIME-ID/run-ID.wandb, which
// `wandb sync` sends.
//
// The file is ":W&B", the number 0xBEE1 in two bytes, little endian, and a version byte 0;
// then, in blocks of 32 KiB that count these seven bytes, the fragments of a LevelDB log: a
// CRC-32 (IEEE) of type and data in four bytes, the length in two, the type (1 whole, 2
// first, 3 middle, 4 last), the data. Where fewer than seven bytes of a block are left they
// are zero. Each record is a Record of wandb_internal.proto, published in wandb's Python
// package; the numbers of fields below are from there.
type wandb struct {
	id    string
	file  *os.File
	at    int   // in the current block
	count int64 // records
	began time.Time
	now   func() time.Time

	// Values of a step are one row, and may come in parts.
	step   int
	values map[string]float64
}

const wandbBlock = 32 << 10

// Fields of Record, of what it holds, and of what that holds.
const (
	recordNum     = 1
	recordHistory = 2
	recordSummary = 3
	recordRun     = 17
	recordExit    = 18
	recordHeader  = 21

	itemKey    = 1  // of ConfigItem
	itemNested = 2  // of HistoryItem and SummaryItem, for names that a dot does not divide
	itemValue  = 16 // JSON
)

func newWandb(parent, entity, project string, r Run, now func() time.Time) (*wandb, error) {
	w := &wandb{id: strings.ToLower(rand.Text()[:8]), began: now(), now: now}
	wrap := func(err error) error { return fmt.Errorf("wandb: %w", err) }
	dir, err := makeFolder(parent, "offline-run-"+w.began.UTC().Format("20060102_150405")+"-"+w.id)
	if err != nil {
		return nil, wrap(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		return nil, wrap(err)
	}
	if w.file, err = os.Create(filepath.Join(dir, "run-"+w.id+".wandb")); err != nil {
		return nil, wrap(err)
	}
	version := appendText(appendText(nil, 1, "distillflow"), 2, "0.13.0") // producer; the oldest reader
	run := appendText(nil, 1, w.id)
	run = appendText(run, 2, entity)
	run = appendText(run, 3, project)
	var config []byte
	for _, key := range slices.Sorted(maps.Keys(r.Config)) {
		value, err := json.Marshal(r.Config[key])
		if err != nil {
			return nil, wrap(errors.Join(err, w.file.Close()))
		}
		config = appendBytes(config, 1, appendText(appendText(nil, itemKey, key), itemValue, string(value)))
	}
	run = appendBytes(run, 4, config)
	run = appendText(run, 8, r.Name)
	start := appendNumber(appendNumber(nil, 1, w.began.Unix()), 2, int64(w.began.Nanosecond()))
	run = appendBytes(run, 17, start)
	err = w.write([]byte{':', 'W', '&', 'B', 0xe1, 0xbe, 0})
	if err == nil {
		err = errors.Join(w.record(recordHeader, appendBytes(nil, 1, version)), w.record(recordRun, run))
	}
	if err != nil {
		return nil, wrap(errors.Join(err, w.file.Close()))
	}
	return w, nil
}

func (w *wandb) Name() string { return "wandb" }

// Log implements [Tracker]. A step's values are written when the next begins.
func (w *wandb) Log(_ context.Context, step int, values map[string]float64) error {
	if step != w.step {
		if err := w.flush(); err != nil {
			return fmt.Errorf("wandb: %w", err)
		}
		w.step = step
	}
	if w.values == nil {
		w.values = map[string]float64{}
	}
	maps.Copy(w.values, values)
	return nil
}

// flush writes the values of a step: a row of the history, and the run's summary, which
// holds the last of each.
func (w *wandb) flush() error {
	names := finite(w.values)
	if len(names) == 0 {
		return nil
	}
	now := w.now()
	var items []byte // the same field in both
	item := func(name string, value any) error {
		text, err := json.Marshal(value)
		items = appendBytes(items, 1, appendText(appendText(nil, itemNested, name), itemValue, string(text)))
		return err
	}
	errs := []error{
		item("_step", w.step), item("_timestamp", float64(now.UnixMicro())/1e6), item("_runtime", now.Sub(w.began).Seconds()),
	}
	for _, name := range names {
		errs = append(errs, item(name, w.values[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	clear(w.values)
	history := appendBytes(slices.Clone(items), 2, appendNumber(nil, 1, int64(w.step)))
	return errors.Join(w.record(recordSummary, items), w.record(recordHistory, history))
}

// Close implements [Tracker].
func (w *wandb) Close(_ context.Context, err error) error {
	code := int64(0)
	if err != nil {
		code = 1
	}
	exit := appendNumber(appendNumber(nil, 1, code), 2, int64(w.now().Sub(w.began).Seconds()))
	if err := errors.Join(w.flush(), w.record(recordExit, exit), w.file.Close()); err != nil {
		return fmt.Errorf("wandb: %w", err)
	}
	return nil
}

// record writes a Record that holds one field. Each is in the file when it returns: what a
// kill leaves can be read.
func (w *wandb) record(field protowire.Number, data []byte) error {
	w.count++
	data = appendBytes(appendNumber(nil, recordNum, w.count), field, data)
	var out []byte
	at := w.at
	for first := true; first || len(data) > 0; first = false {
		const head = 7
		left := wandbBlock - at
		if left < head {
			out, at = append(out, make([]byte, left)...), 0
			left = wandbBlock
		}
		part := data[:min(len(data), left-head)]
		data = data[len(part):]
		kind := byte(3)
		switch {
		case first && len(data) == 0:
			kind = 1
		case first:
			kind = 2
		case len(data) == 0:
			kind = 4
		}
		sum := crc32.Update(crc32.ChecksumIEEE([]byte{kind}), crc32.IEEETable, part)
		out = binary.LittleEndian.AppendUint32(out, sum)
		out = binary.LittleEndian.AppendUint16(out, uint16(len(part)))
		out = append(append(out, kind), part...)
		at = (at + head + len(part)) % wandbBlock
	}
	return w.write(out)
}

func (w *wandb) write(b []byte) error {
	_, err := w.file.Write(b)
	w.at = (w.at + len(b)) % wandbBlock
	return err
}

// appendText leaves an empty text out.
func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytes(b, field, []byte(s))
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendNumber(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}
