package job

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// endless is a line that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

const (
	wild     = 32 << 20 // bytes of a worker gone wild
	wildMost = 16 << 20 // what reading them may take
)

// A line without an end takes no memory to speak of, is told of once, and the result
// behind it counts.
func TestRelayOfALongLine(t *testing.T) {
	var warned []string
	h := exec.Hooks{Warn: func(m string) { warned = append(warned, m) }}
	var last Message
	alloctest.Within(t, wild, 0, wildMost, func() {
		last = Relay(io.MultiReader(io.LimitReader(endless{}, wild), strings.NewReader("\n"+strings.Repeat("y", maxLine+1)+"\n"+`{"result":{"rows":{"a":1}}}`+"\n")), h)
	})
	if last.Result == nil || last.Result.Rows["a"] != 1 {
		t.Errorf("the result: %+v", last)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "a line of more than 1.0 MiB") {
		t.Errorf("warnings %q", warned)
	}
}

// The same for a folder's messages, while the line is still being written.
func TestFollowALongLine(t *testing.T) {
	f := Folder(t.TempDir())
	file, err := os.Create(f.File(messagesFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var heard []string
	h := exec.Hooks{Warn: func(m string) { heard = append(heard, m) }}
	w := Follower{Folder: f}
	end := int64(0)
	poll := func(write string, grow int64) {
		t.Helper()
		_, err := file.WriteAt([]byte(write), end)
		end += int64(len(write)) + grow
		if err == nil {
			err = file.Truncate(end) // a hole, which reads as zeros
		}
		if err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, int(grow), 0, wildMost, func() { _, err = w.Poll(h) })
		if err != nil {
			t.Fatal(err)
		}
	}
	poll(`{"warning":"before"}`+"\n"+`{"warning":`, 0)
	poll(`"half"}`+"\n", wild)
	poll("", wild)
	poll("", 0)
	poll(strings.Repeat("x", 10)+"\n"+`{"warning":"after"}`+"\n", 0)
	if got := strings.Join(heard, "|"); got != "before|half|its worker wrote a line of more than 1.0 MiB among its messages; what is in it is lost|after" {
		t.Errorf("%q", got)
	}
}

// A worker's own messages are cut so that they always fit a line.
func TestTextsAreCut(t *testing.T) {
	long := strings.Repeat("\x00", 300<<10) // six bytes each in JSON
	reg, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "toy", Version: 1, Class: stage.Sampled, Doc: "A toy."},
		func(_ context.Context, env *stage.Env, _ config, _ noIn, _ outs) error {
			env.Warn("%s", long)
			env.Progress(stage.Progress{Message: long})
			return errors.New(long)
		}))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Run(t.Context(), toyTask(t, ""), reg, stage.Services{}, &b); err == nil {
		t.Error("no error")
	}
	lines := 0
	for line := range strings.Lines(b.String()) {
		lines++
		var m Message
		if err := json.Unmarshal([]byte(line), &m); err != nil || len(line) > maxLine {
			t.Errorf("a line of %d bytes: %v", len(line), err)
		}
		var text string
		switch {
		case m.Progress != nil:
			text = m.Progress.Message
		default:
			text = m.Warning + m.Error
		}
		if !strings.HasSuffix(text, "\x00... (236.0 KiB more)") {
			t.Errorf("%d bytes end in %q", len(text), text[max(0, len(text)-30):])
		}
	}
	if lines != 3 {
		t.Errorf("%d lines", lines)
	}
}

// What cannot be a result is not read to its end.
func TestHugeResult(t *testing.T) {
	task := toyTask(t, "")
	f, _ := write(t, task)
	file, err := os.Create(f.File(resultFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(1<<40), file.Close()); err != nil {
		t.Skip(err) // a file system without holes
	}
	if _, err := f.Collect(task); err == nil || !strings.Contains(err.Error(), "no result of this program") {
		t.Errorf("%v", err)
	}
}
