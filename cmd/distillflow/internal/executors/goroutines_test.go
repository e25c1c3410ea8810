package executors

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails where tests leave goroutines behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
