//go:build !unix

package evaluate

import "os/exec"

// ownGroup does nothing here: there are no process groups.
func ownGroup(*exec.Cmd) {}

// killGroup kills a program. What it started goes on.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

// limitMemory does nothing here: only Linux limits a running program.
func limitMemory(int, int64) error { return nil }
