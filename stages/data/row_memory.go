package data

import (
	"fmt"

	"github.com/distillflow/distillflow/internal/base/text"
)

// rowMemoryLimit is how many bytes of rows a stage holds in memory.
const rowMemoryLimit = 8 << 30

// placeSize is about what a stage takes for a row besides the texts that it holds of it.
const placeSize = 100

// rowMemory counts what a stage holds of its rows in memory. The zero value is ready.
type rowMemory struct{ rows, bytes int64 }

// hold counts one more row, of which the stage holds texts of so many bytes.
func (m *rowMemory) hold(texts int) error { return m.holdWithin(texts, rowMemoryLimit) }

func (m *rowMemory) holdWithin(texts int, limit int64) error {
	m.rows++
	if m.bytes += int64(texts) + placeSize; m.bytes > limit {
		return fmt.Errorf("what the stage holds of the first %d rows takes %s of memory, and it holds at most %s", m.rows, text.Size(m.bytes), text.Size(limit))
	}
	return nil
}
