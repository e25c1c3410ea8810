//go:build !unix

package store

import "io/fs"

// inode is 0 where files have no inode number.
func inode(fs.FileInfo) uint64 { return 0 }
