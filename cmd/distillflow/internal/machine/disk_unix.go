//go:build linux || darwin

package machine

import "golang.org/x/sys/unix"

// DiskFree is how many bytes a user may still write to the disk of a folder.
func DiskFree(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
