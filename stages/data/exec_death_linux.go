package data

import "syscall"

// dieWithParent has the kernel kill the command when this process ends in a way that
// leaves it no time to do so itself, SIGKILL for example. The kernel watches the thread
// that started the command: it must live as long.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
