package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A child process puts a range of keys; job is "from:to[:fault:nth]".
func memoChild(dir, job string) int {
	f := strings.SplitN(job, ":", 3)
	from, _ := strconv.Atoi(f[0])
	to, _ := strconv.Atoi(f[1])
	var opts MemoOptions
	if len(f) == 3 {
		opts.Fault = killAt(f[2])
	}
	m, err := OpenMemo(dir, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := from; i < to; i++ {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(i) // told to be durable
	}
	if err := m.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func memoCommand(dir, job string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envMemoDir+"="+dir, envMemoJob+"="+job)
	return cmd
}

func TestMemoProcesses(t *testing.T) {
	dir := t.TempDir()
	m, warned := openMemo(t, dir, MemoOptions{Refresh: 1})
	var wg sync.WaitGroup
	for p := range 3 {
		wg.Go(func() {
			// Ranges overlap: some keys are put by two processes.
			out, err := memoCommand(dir, fmt.Sprintf("%d:%d", p*40, p*40+60)).CombinedOutput()
			if err != nil {
				t.Errorf("process %d: %v\n%s", p, err, out)
			}
		})
	}
	for i := 1000; i < 1050; i++ {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if err := m.Refresh(); err != nil {
		t.Fatal(err)
	}
	for i := range 140 {
		wantValue(t, m, i)
	}
	for i := 1000; i < 1050; i++ {
		wantValue(t, m, i)
	}
	if st := m.Stats(); st.Records != 190 || st.Corrupt != 0 || warned.count() != 0 {
		t.Errorf("%+v %v", st, warned.all)
	}
}

func TestMemoKilled(t *testing.T) {
	for _, point := range []string{FaultMemoWritten, FaultMemoSynced} {
		dir := t.TempDir()
		out, err := memoCommand(dir, "0:20:"+point+":7").Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("%s: not killed: %v", point, err)
		}
		told := strings.Fields(string(out))
		if len(told) != 7 {
			t.Fatalf("%s: %d answers before the kill", point, len(told))
		}
		m, warned := openMemo(t, dir, MemoOptions{})
		for i := range told {
			wantValue(t, m, i)
		}
		m.Close()
		if out, err := memoCommand(dir, "0:20").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		m, _ = openMemo(t, dir, MemoOptions{})
		for i := range 20 {
			wantValue(t, m, i)
		}
		if warned.count() != 0 {
			t.Error(warned.all)
		}
	}
}
