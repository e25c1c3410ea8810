//go:build darwin || freebsd || netbsd

package store

import (
	"io/fs"
	"syscall"
)

// changeTime returns the inode change time in nanoseconds, which, unlike the
// modification time, no program can set back.
func changeTime(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ctimespec.Nano()
	}
	return 0
}
