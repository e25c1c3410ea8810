//go:build unix && !linux

package data

import "syscall"

// dieWithParent does nothing here: only Linux tells a process that its parent is gone.
func dieWithParent(*syscall.SysProcAttr) {}
