package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// The test binary runs itself as a child; the child does one publishing job
// and kills itself at a point.
const (
	envCrashDir   = "STORE_TEST_CRASH_DIR"
	envCrashPoint = "STORE_TEST_CRASH_POINT"
	envMemoDir    = "STORE_TEST_MEMO_DIR"
	envMemoJob    = "STORE_TEST_MEMO_JOB"
	envMemoClaims = "STORE_TEST_MEMO_CLAIMS"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envCrashDir) != "":
		os.Exit(crashChild(os.Getenv(envCrashDir), os.Getenv(envCrashPoint)))
	case os.Getenv(envMemoClaims) != "":
		os.Exit(claimChild(os.Getenv(envMemoDir), os.Getenv(envMemoJob)))
	case os.Getenv(envMemoDir) != "":
		os.Exit(memoChild(os.Getenv(envMemoDir), os.Getenv(envMemoJob)))
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}

// killAt returns a hook that kills this process, without any clean-up, when it
// passes a point for the nth time; point is "name:n".
func killAt(spec string) func(string) {
	name, nth, _ := strings.Cut(spec, ":")
	left, _ := strconv.Atoi(nth)
	return func(p string) {
		if p != name {
			return
		}
		if left--; left < 0 {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			fmt.Fprintln(os.Stderr, "killing myself:", err)
			select {}
		}
	}
}

func crashChild(dir, spec string) int {
	s, err := Open(dir, Options{Fault: killAt(spec)})
	if err == nil {
		err = crashJob(s)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// crashJob is a small run: rows, then a folder made from them, then pointers.
// Work that is cached is not repeated, as in a real run.
func crashJob(s *Store) error {
	rows, tree := testKey(1), testKey(2)
	unlock, ok, err := s.TryLockKey(rows)
	if err != nil || !ok {
		return errors.Join(err, errors.New("a dead process holds a lock"))
	}
	defer unlock()
	if _, ok, err := s.GetAction(rows); err != nil {
		return err
	} else if !ok {
		d, n, err := s.PutBytes([]byte("{\"id\":1}\n"), Durable)
		if err != nil {
			return err
		}
		a := &Action{Key: rows, Type: "scan", Outputs: map[string]Output{"out": {Kind: KindRows, Digest: d, Bytes: n}}}
		if _, err := s.PutAction(a, Durable); err != nil {
			return err
		}
	}
	if _, ok, err := s.GetAction(tree); err != nil {
		return err
	} else if !ok {
		dir, err := s.TempDir()
		if err != nil {
			return err
		}
		for _, n := range []string{"a", "b", "sub"} {
			p := filepath.Join(dir, n)
			if n == "sub" {
				if err := os.Mkdir(p, 0o755); err != nil {
					return err
				}
				p = filepath.Join(p, "c")
			}
			if err := os.WriteFile(p, []byte("model "+n), 0o644); err != nil {
				return err
			}
		}
		d, n, err := s.PutTree(dir, Durable)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		a := &Action{Key: tree, Type: "train", Outputs: map[string]Output{"models": {Kind: KindDir, Digest: d, Bytes: n}}}
		if _, err := s.PutAction(a, Durable); err != nil {
			return err
		}
	}
	a, ok, err := s.GetAction(tree)
	if err != nil || !ok {
		return errors.Join(err, errors.New("just published and no hit"))
	}
	if _, err := s.MaterializeTree(a.Outputs["models"].Digest); err != nil {
		return err
	}
	return s.SetLastMany("recipe", map[string]Pointer{"rows": {Key: rows}, "tree": {Key: tree}})
}

// state lists what a store has published: names and contents, no staging.
func state(t *testing.T, dir string) []string {
	t.Helper()
	s, warned := openStore(t, dir, Options{})
	defer s.Close()
	var out []string
	if err := s.eachBlob(func(_ string, d Digest, _ os.FileInfo) error {
		b, err := s.ReadBlob(d)
		out = append(out, string(d)+" "+string(b))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Actions(func(a *Action) error {
		out = append(out, fmt.Sprint(a.Key, a.Outputs))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	last, err := s.LastAll("recipe")
	if err != nil {
		t.Fatal(err)
	}
	for stage, p := range last {
		out = append(out, stage+" "+p.Key)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) != 0 {
		t.Errorf("staging left behind: %v", left)
	}
	if warned.count() != 0 {
		t.Errorf("warnings: %v", warned.all)
	}
	slices.Sort(out)
	return out
}

// A process killed at any point leaves a store from which the next run gets to
// the same state as a run that nobody killed.
func TestKilledAtEveryPoint(t *testing.T) {
	clean := filepath.Join(t.TempDir(), "clean")
	if code := crashChild(clean, ""); code != 0 {
		t.Fatal("the job fails without a kill")
	}
	want := state(t, clean)
	kills := 0
	for _, point := range []string{ // those of the memo: TestMemoKilled
		FaultKeyLocked, FaultBlobStaged, FaultBlobPublished, FaultTreePublished, FaultBeforeAction,
		FaultActionWritten, FaultActionPublished, FaultLastWritten, FaultTreeMaterial,
	} {
		for nth := 0; ; nth += 1 + nth { // the 1st, 2nd, 4th, 8th time
			spec := fmt.Sprintf("%s:%d", point, nth)
			dir := filepath.Join(t.TempDir(), "s")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envCrashDir+"="+dir, envCrashPoint+"="+spec)
			out, err := cmd.CombinedOutput()
			if err == nil {
				if nth == 0 {
					t.Errorf("%s is never reached", point)
				}
				break // passed fewer times than that
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != -1 {
				t.Fatalf("%s: %v\n%s", spec, err, out)
			}
			kills++
			if code := crashChild(dir, ""); code != 0 {
				t.Fatalf("%s: the next run fails", spec)
			}
			if got := state(t, dir); !slices.Equal(got, want) {
				t.Errorf("%s: got\n%s\nwant\n%s", spec, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	t.Logf("%d kills", kills)
}
