package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount mounts over the victim's folder until the test ends, and lays the recipe out there.
// Without the right to mount, as in most containers, the test is skipped.
func (v *victim) mount(t *testing.T, source, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, v.dir, fstype, flags, data); err != nil {
		t.Skipf("mounting %s: %v", fstype, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(v.dir, syscall.MNT_DETACH) })
}

// onSmallDisk moves the victim to a file system of its own with so many bytes free.
func (v *victim) onSmallDisk(t *testing.T, free int64) (resize func(free int64)) {
	t.Helper()
	v.mount(t, "small", "tmpfs", 0, fmt.Sprintf("size=%d", 64<<10+free))
	v.fill(t)
	return func(free int64) {
		t.Helper()
		if err := syscall.Mount("small", v.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", free)); err != nil {
			t.Fatal(err)
		}
	}
}

// readOnly makes the victim's folder a read-only disk until it is released.
func (v *victim) readOnly(t *testing.T) (release func()) {
	t.Helper()
	v.mount(t, v.dir, "", syscall.MS_BIND, "")
	if err := syscall.Mount("", v.dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := syscall.Unmount(v.dir, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
}

// onCoarseDisk moves the victim to a file system whose times are whole seconds: ext2 with
// small inodes.
func (v *victim) onCoarseDisk(t *testing.T) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext2", "-I", "128", image, "16M").CombinedOutput(); err != nil {
		t.Skipf("making a file system with coarse times: %v %s", err, out)
	}
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skipf("attaching a file system with coarse times: %v", err)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", loop).Run() })
	v.mount(t, loop, "ext2", 0, "")
	v.fill(t)
	fi, err := os.Stat(filepath.Join(v.dir, "r.yaml"))
	if err != nil || fi.ModTime().Nanosecond() != 0 {
		t.Fatalf("the times are not coarse: %v, %v", fi.ModTime(), err)
	}
}
