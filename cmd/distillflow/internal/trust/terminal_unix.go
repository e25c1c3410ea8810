//go:build linux || darwin

package trust

import (
	"os"

	"golang.org/x/sys/unix"
)

// Answers reports whether somebody can answer at a stream: it is the terminal of this
// process, which is in the foreground there. One in the background that read would be
// stopped.
func Answers(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
