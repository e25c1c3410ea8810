package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// stateHead is the JSON part of a state.
type stateHead struct {
	Blobs []int           `json:"blobs"` // their sizes
	Meta  json.RawMessage `json:"meta"`
}

// writeState writes a training state to path as a whole: the length of the JSON part,
// that part, the blobs, the tensors as safetensors, and a SHA-256 of all of it.
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
	err = atomicfile.Write(path, 0o644, atomicfile.Durable, func(f io.Writer) error {
		sum := sha256.New()
		w := io.MultiWriter(f, sum)
		for _, b := range append([][]byte{binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text}, blobs...) {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		if err := checkpoint.Encode(w, set); err != nil {
			return err
		}
		_, err := f.Write(sum.Sum(nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	return nil
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
	end := len(data) - sha256.Size
	if end < 8 || sha256.Sum256(data[:end]) != [sha256.Size]byte(data[end:]) {
		return nil, nil, false, nil
	}
	n := binary.LittleEndian.Uint64(data)
	if data = data[8:end]; n > uint64(len(data)) {
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
