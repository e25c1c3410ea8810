package main

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denial is a call of the system that fails.
type denial struct {
	nr    uintptr
	errno syscall.Errno
	arg   int    // number of the argument that decides
	bits  uint32 // it fails if the argument has any of these bits; 0: always
	value uint32 // it fails if the argument is this; 0: see bits
}

// denials are file systems that lack something, and disks that break, as the program sees
// them: by name, the calls that fail from then on. A seccomp filter does it, which needs
// no rights and holds until the process ends.
var denials = map[string][]denial{
	"links":  {{nr: unix.SYS_LINKAT, errno: unix.EPERM}},
	"flock":  locks(unix.ENOLCK), // NFS without its lock daemon
	"flock2": locks(unix.ENOSYS), // FUSE
	"flock3": locks(unix.EOPNOTSUPP),
	"times":  {{nr: unix.SYS_UTIMENSAT, errno: unix.EPERM}},
	"modes":  {{nr: unix.SYS_FCHMODAT, errno: unix.EPERM}, {nr: unix.SYS_FCHMOD, errno: unix.EPERM}},
	"fsync":  {{nr: unix.SYS_FSYNC, errno: unix.EIO}, {nr: unix.SYS_FDATASYNC, errno: unix.EIO}},
	// What is open for writing can still be written: the pages are in memory.
	"readonly": append(writes(unix.EROFS), denial{nr: unix.SYS_PWRITE64, errno: unix.EROFS}),
	"full":     append(creates(unix.ENOSPC), denial{nr: unix.SYS_PWRITE64, errno: unix.ENOSPC}),
	"quota":    append(creates(unix.EDQUOT), denial{nr: unix.SYS_PWRITE64, errno: unix.EDQUOT}),
}

func locks(e syscall.Errno) []denial {
	return []denial{
		{nr: unix.SYS_FLOCK, errno: e},
		{nr: unix.SYS_FCNTL, errno: e, arg: 1, value: unix.F_OFD_SETLK},
		{nr: unix.SYS_FCNTL, errno: e, arg: 1, value: unix.F_OFD_SETLKW},
	}
}

func creates(e syscall.Errno) []denial {
	return []denial{
		{nr: unix.SYS_OPENAT, errno: e, arg: 2, bits: unix.O_CREAT},
		{nr: unix.SYS_MKDIRAT, errno: e},
		{nr: unix.SYS_LINKAT, errno: e},
		{nr: unix.SYS_SYMLINKAT, errno: e},
	}
}

func writes(e syscall.Errno) []denial {
	return append(creates(e),
		denial{nr: unix.SYS_OPENAT, errno: e, arg: 2, bits: unix.O_WRONLY | unix.O_RDWR},
		denial{nr: unix.SYS_RENAMEAT, errno: e},
		denial{nr: unix.SYS_RENAMEAT2, errno: e},
		denial{nr: unix.SYS_UNLINKAT, errno: e},
		denial{nr: unix.SYS_FCHMODAT, errno: e},
		denial{nr: unix.SYS_UTIMENSAT, errno: e},
		denial{nr: unix.SYS_FTRUNCATE, errno: e},
	)
}

// deny makes calls of this process fail, in all its threads, and of those that it starts.
func deny(names ...string) error {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if arch == 0 {
		return fmt.Errorf("no seccomp filter for %s", runtime.GOARCH)
	}
	const number, archAt, args = 0, 4, 16 // offsets in struct seccomp_data; the machine is little-endian
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	jump := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

	f := []unix.SockFilter{load(archAt), jump(unix.BPF_JEQ, arch, 1, 0), ret(unix.SECCOMP_RET_ALLOW)}
	for _, name := range names {
		all, ok := denials[name]
		if !ok {
			return fmt.Errorf("no denial %q", name)
		}
		for _, d := range all {
			fail := ret(unix.SECCOMP_RET_ERRNO | uint32(d.errno))
			f = append(f, load(number))
			switch test, k := uint16(unix.BPF_JEQ), d.value; {
			case d.bits == 0 && d.value == 0:
				f = append(f, jump(unix.BPF_JEQ, uint32(d.nr), 0, 1), fail)
			default:
				if d.bits != 0 {
					test, k = unix.BPF_JSET, d.bits
				}
				f = append(f, jump(unix.BPF_JEQ, uint32(d.nr), 0, 3), load(args+8*uint32(d.arg)), jump(test, k, 0, 1), fail)
			}
		}
	}
	f = append(f, ret(unix.SECCOMP_RET_ALLOW))

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	return nil
}
