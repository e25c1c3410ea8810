//go:build unix

package store

import (
	"io/fs"
	"syscall"
)

// inode returns the inode number, 0 where the file system has none.
func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
