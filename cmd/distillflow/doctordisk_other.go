//go:build !linux && !darwin

package main

import "errors"

// diskFree is not told on this system.
func diskFree(string) (int64, error) {
	return 0, errors.New("not told on this system")
}
