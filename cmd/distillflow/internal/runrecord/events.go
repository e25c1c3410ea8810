package runrecord

import (
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
	"github.com/distillflow/distillflow/internal/base/lines"
)

// maxEvent bounds the line of an event.
const maxEvent = 64 << 20

// Events reads the events of a run that lie behind a byte offset; next is the offset
// behind the last. A line that is not complete yet is left for later, and damaged lines
// are left out, and those without end.
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
	for line, err := range lines.Of(f, maxEvent) {
		if err != nil {
			return events, offset, fmt.Errorf("run %s: %w", id, err)
		}
		if line.Cut {
			break
		}
		offset += line.Size
		var e event.Event
		if json.Unmarshal(bytes.TrimSpace(line.Text), &e) == nil && e.Kind != "" {
			events = append(events, e)
		}
	}
	return events, offset, nil
}
