package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// writeState writes a training state to path as a whole. The file is a SHA-256 of
// the rest, the length of the JSON part, that part, and the tensors as safetensors.
func writeState(path string, meta any, set weights.Set) error {
	text, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	var body bytes.Buffer
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(text)))
	body.Write(size[:])
	body.Write(text)
	if err := checkpoint.Encode(&body, set); err != nil {
		return fmt.Errorf("training state: %w", err)
	}
	sum := sha256.Sum256(body.Bytes())
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(sum[:], body.Bytes()...), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// readState reads what writeState wrote. ok is false when there is none or when it
// is broken: then training starts over, which costs time but gives the same result.
func readState(path string, meta any) (set weights.Set, ok bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	const head = sha256.Size + 8
	if len(data) < head || sha256.Sum256(data[sha256.Size:]) != [sha256.Size]byte(data[:sha256.Size]) {
		return nil, false, nil
	}
	n := binary.LittleEndian.Uint64(data[sha256.Size:])
	if n > uint64(len(data)-head) {
		return nil, false, nil
	}
	if err := json.Unmarshal(data[head:head+n], meta); err != nil {
		return nil, false, nil //nolint:nilerr // a state this version cannot read is none
	}
	set, err = checkpoint.Decode(data[head+n:])
	return set, err == nil, nil
}
