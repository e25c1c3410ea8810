package evaluate

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes a program the leader of a process group. The kernel kills it when
// the thread that started it ends, and so when this process is killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a program and all that it started.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// limitMemory bounds the address space of a running program and of what it starts
// from now on.
func limitMemory(pid int, bytes int64) error {
	l := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	if err := unix.Prlimit(pid, unix.RLIMIT_AS, &l, nil); err != nil && err != unix.ESRCH { // it may be gone already
		return fmt.Errorf("limiting its memory: %w", err)
	}
	return nil
}
