package store

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// fOFDSetlk is F_OFD_SETLK of fcntl(2), for which package syscall has no name. Such
// a lock belongs to the open file, as flock's does. A lock that belongs to the
// process is lost when the process closes any descriptor of the file.
const fOFDSetlk = 37

// lockRange locks byte n of a file without waiting. It is ten times as fast as a
// lock file for each stripe, which every call would have to open.
func lockRange(f *os.File, n uint16) (unlock func() error, ok bool, err error) {
	set := func(kind int16) error {
		for {
			l := syscall.Flock_t{Type: kind, Whence: io.SeekStart, Start: int64(n), Len: 1}
			if err := syscall.FcntlFlock(f.Fd(), fOFDSetlk, &l); !errors.Is(err, syscall.EINTR) {
				return err
			}
		}
	}
	switch err := set(syscall.F_WRLCK); {
	case err == nil:
		return func() error { return set(syscall.F_UNLCK) }, true, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
		return nil, false, nil
	case errors.Is(err, syscall.EINVAL): // a kernel that does not know them
		return nil, false, errors.ErrUnsupported
	default:
		return nil, false, err
	}
}
