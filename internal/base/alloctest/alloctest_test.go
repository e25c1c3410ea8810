package alloctest

import "testing"

var kept []byte

type spy struct {
	testing.TB
	failed bool
}

func (s *spy) Helper()               {}
func (s *spy) Fatalf(string, ...any) { s.failed = true }

func TestWithin(t *testing.T) {
	for size, fails := range map[int]bool{1 << 10: false, 8 << 20: true} {
		s := &spy{}
		Within(s, 1<<10, 10, 1<<20, func() { kept = make([]byte, size) })
		if s.failed != fails {
			t.Errorf("%d bytes: failed is %v", size, s.failed)
		}
	}
}
