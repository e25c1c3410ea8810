// Package job is a task as a folder, for machines that share a file system: whoever
// wants the task run writes it there, a worker anywhere leaves its messages and its
// result beside it. The result's file is the truth about the task; what a cluster's
// scheduler says only explains its absence. All files are opened by name: a folder's
// listing may lag behind on a network file system.
package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/lines"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Folder is the folder of one task. Whoever gives a runner the same task again, such as
// a run that goes on after a kill, finds the same folder.
type Folder string

// The files in a Folder.
const (
	taskFile     = "task.json"
	messagesFile = "messages.jsonl"
	ordersFile   = "orders.json"
	resultFile   = "result.json"
)

// Of gives the folder of a task: in its work folder, which outlives a kill and is
// removed with it once the stage's result is published.
func Of(t stage.Task) Folder { return Folder(filepath.Join(t.WorkDir, "job")) }

// File gives the path of a file of the runner's own in the folder.
func (f Folder) File(name string) string { return filepath.Join(string(f), name) }

// Write puts the task into its folder. What lies there already belongs to the same
// task and stays, or to another one, such as of an older version of a stage's type, and
// is removed. known reports the first: then somebody may be at work on it, or its
// result may be there.
func (f Folder) Write(t stage.Task) (known bool, err error) {
	t.Outputs, t.GPUs = nil, nil // the worker chooses
	text, err := json.Marshal(t)
	if err != nil {
		return false, fmt.Errorf("writing the task: %w", err)
	}
	old, err := f.task()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err == nil && sameTask(old, t):
		known = true
	default:
		if err := os.RemoveAll(string(f)); err != nil {
			return false, fmt.Errorf("removing an older task: %w", err)
		}
	}
	if err := os.MkdirAll(string(f), 0o777); err != nil {
		return false, fmt.Errorf("writing the task: %w", err)
	}
	return known, atomicfile.WriteBytes(f.File(taskFile), 0o666, atomicfile.Durable, text)
}

// sameTask ignores what a task needs: a further try may be given more.
func sameTask(a, b stage.Task) bool {
	a.Needs, b.Needs = stage.Needs{}, stage.Needs{}
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

func (f Folder) task() (t stage.Task, err error) {
	b, err := os.ReadFile(f.File(taskFile))
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("%s: %w", f.File(taskFile), err)
	}
	return t, nil
}

// Forget removes a result and what was told before it, so that the task can be tried
// again.
func (f Folder) Forget() error {
	var errs []error
	for _, name := range []string{resultFile, messagesFile, ordersFile} {
		if err := os.Remove(f.File(name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Order tells the worker what is wanted of its stage from now on.
func (f Folder) Order(o stage.Orders) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(f.File(ordersFile), 0o666, atomicfile.Relaxed, b)
}

// Follower passes the messages of a folder's workers on, as they come.
type Follower struct {
	Folder Folder
	next   int64 // where unread messages begin
	long   bool  // that is within a line that is too long
}

// Poll passes on what is new. Started is the last worker's that has begun, if one is new.
// A file that is not there yet has no messages.
func (w *Follower) Poll(h exec.Hooks) (started *Start, err error) {
	f, err := os.Open(w.Folder.File(messagesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the worker tells: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() < w.next {
		w.next, w.long = 0, false // another try's
	}
	for l, err := range lines.Of(io.NewSectionReader(f, w.next, 1<<62), maxLine) {
		if err != nil {
			return started, fmt.Errorf("reading what the worker tells: %w", err)
		}
		if l.Long && !w.long {
			w.long = true
			tooLong(h)
		}
		if l.Cut && !w.long {
			break // the rest of the line will come
		}
		w.next += l.Size
		if l.Cut {
			break
		}
		if w.long {
			w.long = false
			continue
		}
		if m, _ := pass(l.Text, h); m.Started != nil {
			started = m.Started
		}
	}
	return started, nil
}

// Result is what a worker leaves when its task has ended.
type Result struct {
	Message
	Host  string                  `json:"host"`
	Out   string                  `json:"out"`             // the folder of the outputs, beside this file
	Files map[string][]OutputFile `json:"files,omitempty"` // port -> files; a row output has one with an empty name
}

// OutputFile is one file of an output.
type OutputFile struct {
	Name   string `json:"name,omitempty"` // in its output's folder, with slashes
	Size   int64  `json:"size"`           // bytes
	SHA256 string `json:"sha256"`         // "" for a symbolic link
}

// Result reads what a worker left; [ErrNoResult] if there is nothing.
func (f Folder) Result() (r Result, err error) {
	if info, err := os.Stat(f.File(resultFile)); err == nil && info.Size() > maxResult {
		return r, fmt.Errorf("%s: it has %s, which is no result of this program", f.File(resultFile), text.Size(info.Size()))
	}
	b, err := os.ReadFile(f.File(resultFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, ErrNoResult
	}
	if err != nil {
		return r, fmt.Errorf("reading a result: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", f.File(resultFile), err)
	}
	return r, nil
}

// ErrNoResult says that a folder holds no result (yet).
var ErrNoResult = errors.New("the worker has left no result")

// Collect brings the outputs of a finished task to where t wants them. It gives
// [ErrNoResult] as long as there is none; the error of [Message.Outcome] for a
// task that failed, beside a result with its stats; and an error that wraps
// [ErrNotThere] for outputs that do not (yet) read as the worker wrote them.
func (f Folder) Collect(t stage.Task) (stage.Result, error) {
	r, err := f.Result()
	if err != nil {
		return stage.Result{}, err
	}
	res, err := r.Outcome()
	if err != nil {
		return res, err
	}
	if !filepath.IsLocal(r.Out) || r.Out == "." || strings.ContainsAny(r.Out, `/\`) {
		return res, fmt.Errorf("%s: out %q is not the name of a folder", f.File(resultFile), r.Out)
	}
	for port, to := range t.Outputs {
		if err := take(f.File(filepath.Join(r.Out, port)), to, r.Files[port]); err != nil {
			return res, fmt.Errorf("output %s: %w", port, err)
		}
	}
	return res, nil
}
