//go:build !linux && !darwin

package trust

import "os"

// Answers reports whether somebody can answer at a stream: it is a terminal.
func Answers(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
