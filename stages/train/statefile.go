package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// stateHead is the JSON part of a state.
type stateHead struct {
	Blobs []int           `json:"blobs"` // their sizes
	Meta  json.RawMessage `json:"meta"`
}

// writeState writes a training state to path as a whole. The file is a SHA-256 of
// the rest, the length of the JSON part, that part, the blobs, and the tensors as
// safetensors.
func writeState(path string, meta any, set weights.Set, blobs [][]byte) error {
	var head stateHead
	var err error
	for _, b := range blobs {
		head.Blobs = append(head.Blobs, len(b))
	}
	if head.Meta, err = json.Marshal(meta); err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	tmp := path + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	_, err = f.Write(make([]byte, sha256.Size)) // filled in at the end
	write := func(b []byte) {
		if err == nil {
			_, err = w.Write(b)
		}
	}
	write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	write(text)
	for _, b := range blobs {
		write(b)
	}
	if err == nil {
		err = checkpoint.Encode(w, set)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		_, err = f.WriteAt(sum.Sum(nil), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	return os.Rename(tmp, path)
}

// readState reads what writeState wrote. ok is false when there is none or when it
// is broken: then training starts over, which costs time but gives the same result.
func readState(path string, meta any) (set weights.Set, blobs [][]byte, ok bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	const start = sha256.Size + 8
	if len(data) < start || sha256.Sum256(data[sha256.Size:]) != [sha256.Size]byte(data[:sha256.Size]) {
		return nil, nil, false, nil
	}
	n := binary.LittleEndian.Uint64(data[sha256.Size:])
	if data = data[start:]; n > uint64(len(data)) {
		return nil, nil, false, nil
	}
	var head stateHead
	if json.Unmarshal(data[:n], &head) != nil || json.Unmarshal(head.Meta, meta) != nil {
		return nil, nil, false, nil // a state this version cannot read is none
	}
	data = data[n:]
	for _, size := range head.Blobs {
		if size < 0 || size > len(data) {
			return nil, nil, false, nil
		}
		blobs, data = append(blobs, data[:size]), data[size:]
	}
	set, err = checkpoint.Decode(data)
	return set, blobs, err == nil, nil
}
