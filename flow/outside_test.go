package flow_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
)

// peekWhile runs a recipe of one peek stage and calls change when the stage is
// about to read its file for the first time.
func peekWhile(t *testing.T, b *bench, change func()) *flow.Result {
	t.Helper()
	go func() {
		<-b.gate.changed
		change()
		close(b.gate.open)
	}()
	l, res, err := b.run(flow.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.stages(event.StageStarted); got != "a a" {
		t.Errorf("started %q, want twice", got)
	}
	if got := l.stages(event.StageWarning); got != "a" {
		t.Errorf("warned %q", got)
	}
	return res
}

const peek = `
stages:
  a: {uses: peek, with: {file: words.txt}}
`

func TestFileEditedWhileItsStageRuns(t *testing.T) {
	b := newBench(t, peek)
	res := peekWhile(t, b, func() { b.write("words.txt", "new") })
	if got := b.output(res, "a", "words"); !strings.Contains(got, "new") {
		t.Errorf("output %q", got)
	}
	b.mustRun("")
	// The old content must not have got the output of the new one.
	b.write("words.txt", "one\ntwo\nthree\n")
	if got := b.output(b.mustRun("a"), "a", "words"); !strings.Contains(got, "three") {
		t.Errorf("output %q", got)
	}
}

func TestFileChangedAndChangedBackWhileItsStageRuns(t *testing.T) {
	b := newBench(t, peek)
	res := peekWhile(t, b, func() {
		b.write("other.txt", "new")
		b.write("again.txt", "one\ntwo\nthree\n")
		for _, name := range []string{"other.txt", "again.txt"} { // as git does it
			if err := os.Rename(b.path(name), b.path("words.txt")); err != nil {
				t.Error(err)
			}
		}
	})
	if got := b.output(res, "a", "words"); !strings.Contains(got, "three") {
		t.Errorf("output %q", got)
	}
}

// The stage reads content of the same size that came and went in place, with the
// file's time put back: only the change time shows it.
func TestFileChangedAndItsTimePutBackWhileItsStageRuns(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("the system's change time is not read here")
	}
	b := newBench(t, peek)
	fi, err := os.Stat(b.path("words.txt"))
	if err != nil {
		t.Fatal(err)
	}
	res := peekWhile(t, b, func() {
		b.write("words.txt", "ONE\ntwo\nthree\n")
		b.write("words.txt", "one\ntwo\nthree\n")
		if err := os.Chtimes(b.path("words.txt"), fi.ModTime(), fi.ModTime()); err != nil {
			t.Error(err)
		}
	})
	if got := b.output(res, "a", "words"); !strings.Contains(got, "one") {
		t.Errorf("output %q", got)
	}
}

func TestFileRemovedWhileItsStageRuns(t *testing.T) {
	b := newBench(t, peek)
	go func() {
		<-b.gate.changed
		if err := os.Rename(b.path("words.txt"), b.path("gone.txt")); err != nil {
			t.Error(err)
		}
		close(b.gate.open)
	}()
	if _, _, err := b.run(flow.RunOptions{}); err == nil {
		t.Error("the run went well")
	}
}

func TestFileThatNeverComesToRest(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: peek, with: {file: words.txt, grow: true}}
`)
	l, _, err := b.run(flow.RunOptions{})
	if err == nil || !strings.Contains(err.Error(), "changed while the stage ran") || !strings.Contains(err.Error(), "run again") {
		t.Errorf("error %v", err)
	}
	if got := l.stages(event.StageDone); got != "" {
		t.Errorf("published %q", got)
	}
}
