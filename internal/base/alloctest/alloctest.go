// Package alloctest bounds, in tests, the memory that reading a stranger's bytes takes.
package alloctest

import (
	"runtime/metrics"
	"testing"
)

// slack is for what was allocated before, of which the runtime takes account later: small
// objects, when their span is full. A search through 10⁵ inputs met more than a megabyte.
const slack = 2 << 20

// Within runs f, which reads input of n bytes, and fails the test if it allocates more
// than base plus perByte for each of them, in bytes. What is freed meanwhile counts too,
// so that the bound is also one on time. Whatever else the process does meanwhile
// counts as well: no test that runs in parallel may call it.
func Within(t testing.TB, n, perByte, base int, f func()) {
	t.Helper()
	before := allocated()
	f()
	if got, most := allocated()-before, slack+uint64(base)+uint64(perByte)*uint64(n); got > most {
		t.Fatalf("%d bytes allocated for %d bytes of input; at most %d are allowed", got, n, most)
	}
}

// allocated is how many bytes the process has ever allocated on its heap. It does not
// stop the world, as runtime.ReadMemStats does, and small objects of the last moments
// may be missing.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
