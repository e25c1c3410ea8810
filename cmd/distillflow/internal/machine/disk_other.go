//go:build !linux && !darwin

package machine

import "errors"

// DiskFree is this system does not say.
func DiskFree(string) (int64, error) {
	return 0, errors.New("this system does not say")
}
