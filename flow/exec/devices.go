package exec

import (
	"slices"
	"sync"
)

// devices shares out GPUs: whoever takes some has them alone until it gives them
// back. The queue makes sure that there are enough.
type devices struct {
	mu   sync.Mutex
	free []string
}

// take gives the first n free devices, or nil if there are fewer.
func (d *devices) take(n int64) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n <= 0 || n > int64(len(d.free)) {
		return nil
	}
	got := slices.Clone(d.free[:n])
	d.free = slices.Delete(d.free, 0, int(n))
	return got
}

// give takes devices back.
func (d *devices) give(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = append(d.free, ids...)
}
