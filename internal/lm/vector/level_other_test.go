//go:build !amd64 && !arm64

package vector

import "testing"

func eachLevel(t *testing.T, f func(t *testing.T)) { f(t) }
