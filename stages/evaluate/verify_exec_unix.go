//go:build unix && !linux

package evaluate

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a program the leader of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a program and all that it started.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// limitMemory does nothing here: only Linux limits a running program.
func limitMemory(int, int64) error { return nil }
