//go:build !unix

package safetensors

import (
	"fmt"
	"os"
)

// MapFile reads the file where mapping differs by platform. data must not be used
// after unmap.
func MapFile(path string) (data []byte, unmap func() error, err error) {
	if data, err = os.ReadFile(path); err == nil && len(data) == 0 {
		err = fmt.Errorf("%s: not a file with content", path)
	}
	return data, func() error { return nil }, err
}

// Release does nothing where files are not mapped.
func Release([]byte) {}
