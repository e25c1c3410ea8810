package data

import (
	"fmt"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// rowMemoryLimit is how many bytes of rows, as JSON, a stage holds in memory.
const rowMemoryLimit = 8 << 30

// rowMemory counts the rows that a stage holds in memory. The zero value is ready.
type rowMemory struct{ rows, bytes int64 }

// keep gives a row as JSON: decoded it takes three to six times as much memory.
func (m *rowMemory) keep(row *schema.Problem) ([]byte, error) {
	return m.keepWithin(row, rowMemoryLimit)
}

func (m *rowMemory) keepWithin(row *schema.Problem, limit int64) ([]byte, error) {
	b, err := row.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	m.rows++
	if m.bytes += int64(len(b)); m.bytes > limit {
		return nil, fmt.Errorf("the first %d rows take %s as JSON, and the stage holds at most %s in memory: drop long fields with derive or paths with filter first, or work on parts of the data",
			m.rows, text.Size(m.bytes), text.Size(limit))
	}
	return append(make([]byte, 0, len(b)), b...), nil // without the room that appending left
}
