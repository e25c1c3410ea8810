//go:build amd64 || arm64

package vector

import (
	"fmt"
	"testing"
)

// eachLevel runs f with each set of instructions that the machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	best := level
	t.Cleanup(func() { level = best })
	for level = plain; level <= best; level++ {
		t.Run(fmt.Sprintf("level %d", level), f)
	}
}
