package runrecord

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
)

// Events reads the events of a run that lie behind a byte offset; next is the offset
// behind the last. A line that is not complete yet is left for later, and damaged lines
// are left out.
func Events(st *store.Store, id string, offset int64) (events []event.Event, next int64, err error) {
	f, err := os.Open(filepath.Join(st.RunDir(id), "events.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, offset, nil
	}
	if err != nil {
		return nil, offset, fmt.Errorf("run %s: %w", id, err)
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, offset, fmt.Errorf("run %s: %w", id, err)
	}
	b := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, offset, nil
		}
		if err != nil {
			return events, offset, fmt.Errorf("run %s: %w", id, err)
		}
		offset += int64(len(line))
		var e event.Event
		if json.Unmarshal(bytes.TrimSpace(line), &e) == nil && e.Kind != "" {
			events = append(events, e)
		}
	}
}
