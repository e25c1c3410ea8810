//go:build !linux && !darwin

package machine

import "errors"

// DiskFree is not told on this system.
func DiskFree(string) (int64, error) {
	return 0, errors.New("not told on this system")
}
