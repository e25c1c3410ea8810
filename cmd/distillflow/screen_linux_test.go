package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What others wrote moves no cursor and hides nothing, neither in what a command prints on a
// terminal nor in what it says of mistakes.
func TestNoTextMovesTheTerminal(t *testing.T) {
	dir := t.TempDir()
	const hostile = `"x\u001b[2J\u009b1m\u202e\u0007"`
	for name, text := range map[string]string{
		"r.yaml":     "name: " + hostile + "\nstages: {problems: {uses: scan, with: {root: rows.jsonl, task: gsm8k}}}\n",
		"bad.yaml":   "include: " + hostile + "\nstages: {problems: {uses: scan, with: {root: " + hostile + ", task: " + hostile + "}}}\n",
		"rows.jsonl": `{"id": "a", "question": "Two and three?", "answer": "5"}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := func(out *os.File, args ...string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], args...)
		cmd.Dir, cmd.Env = dir, []string{asProgram + "=1", "HOME=" + dir}
		cmd.Stdout, cmd.Stderr = out, out
		_ = cmd.Run() // bad.yaml is an error
	}
	check := func(b []byte) {
		t.Helper()
		for _, mark := range []string{"\x1b", "\u009b", "\u202e", "\a"} {
			if bytes.Contains(b, []byte(mark)) {
				t.Errorf("%q on the terminal: %q", mark, b)
			}
		}
		if !strings.Contains(string(b), "x") {
			t.Errorf("nothing was shown: %q", b)
		}
	}
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer pty.Close()
	if err := unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	program(tty, "plan", "--format", "dot", "r.yaml")
	program(tty, "validate", "bad.yaml")
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	shown, _ := io.ReadAll(pty) // its end is an error
	check(shown)
	file, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	program(file, "validate", "bad.yaml")
	said, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	check(said)
}
