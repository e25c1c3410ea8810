//go:build unix

package safetensors

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MapFile maps a file read-only. data must not be used after unmap.
func MapFile(path string) (data []byte, unmap func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // read only; the mapping outlives it
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Size() == 0 || !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a file with content", path)
	}
	if int64(int(info.Size())) != info.Size() {
		return nil, nil, fmt.Errorf("%s: %d bytes are more than this platform can map", path, info.Size())
	}
	data, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: mapping it into memory: %w", path, err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// Release tells the system that the pages wholly inside data, which lies in a
// mapping of [MapFile], are not needed for now. They stay readable and come from
// the file again. Without it the resident memory of a process that loads a
// checkpoint grows by the whole file.
func Release(data []byte) {
	page := uintptr(os.Getpagesize())
	if len(data) == 0 {
		return
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	from := (start+page-1)/page*page - start
	to := (start+uintptr(len(data)))/page*page - start
	if to > from && to <= uintptr(len(data)) {
		_ = unix.Madvise(data[from:to], unix.MADV_DONTNEED) // only advice
	}
}
