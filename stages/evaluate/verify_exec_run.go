package evaluate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

const (
	stderrTail = 4 << 10 // how much of a dead program's stderr is shown
	maxLine    = 1 << 20 // the longest verdict
)

// launcher starts the program, as often as it is needed.
type launcher struct {
	program string
	args    []string
	env     []string
	dir     string
	log     string // what the program prints to stderr
	memory  int64
}

func newLauncher(env *stage.Env, c verifyExecConfig) (*launcher, error) {
	root, err := filepath.Abs(env.WorkDir) // the program runs in a folder of its own
	if err != nil {
		return nil, fmt.Errorf("finding the scratch folder: %w", err)
	}
	l := &launcher{args: c.Command, dir: filepath.Join(root, "work"), log: filepath.Join(root, "stderr.log")}
	home, tmp := filepath.Join(root, "home"), filepath.Join(root, "tmp")
	for _, d := range []string{l.dir, home, tmp} {
		// A run that crashed may have left something there.
		if err := os.RemoveAll(d); err != nil {
			return nil, fmt.Errorf("clearing the scratch folder: %w", err)
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("making the scratch folder: %w", err)
		}
	}
	if l.memory, err = c.memory(); err != nil {
		return nil, err
	}
	if l.program, err = exec.LookPath(c.Command[0]); err != nil {
		return nil, fmt.Errorf("there is no program %q: install it, or give its whole path (%w)", c.Command[0], err)
	}
	vars := map[string]string{
		"PATH": env.Getenv("PATH"), "HOME": home, "TMPDIR": tmp, "LANG": "C.UTF-8", "TZ": "UTC",
		"DISTILLFLOW_SEED": strconv.FormatUint(env.Seed, 10),
	}
	if vars["PATH"] == "" {
		vars["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	for name, v := range c.Env {
		vars[name] = v
	}
	for name, v := range vars {
		l.env = append(l.env, name+"="+v)
	}
	slices.Sort(l.env)
	return l, nil
}

// verifier is a running program.
type verifier struct {
	name   string
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	answer *bufio.Reader
	ended  func() // lets go of the thread that started it; may be called again
}

func (l *launcher) start() (_ *verifier, err error) {
	log, err := os.Create(l.log)
	if err != nil {
		return nil, fmt.Errorf("making the program's log: %w", err)
	}
	defer log.Close()
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the program's input: %w", err)
	}
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		_ = in.Close()
		return nil, fmt.Errorf("making the program's output: %w", err)
	}
	defer childOut.Close()
	cmd := exec.Command(l.program)
	cmd.Args, cmd.Env, cmd.Dir = l.args, l.env, l.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = childIn, childOut, log
	ownGroup(cmd)
	ended, err := startOnThread(cmd)
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, fmt.Errorf("starting %s: %w", l.args[0], err)
	}
	v := &verifier{name: l.args[0], cmd: cmd, in: in, out: out, answer: bufio.NewReaderSize(out, maxLine), ended: ended}
	if l.memory > 0 {
		if err := limitMemory(cmd.Process.Pid, l.memory); err != nil {
			v.kill()
			return nil, fmt.Errorf("starting %s: %w", l.args[0], err)
		}
	}
	return v, nil
}

// startOnThread starts a program on a thread that lives until ended is called: the kernel
// ends the program with the thread that started it. Whoever asks the program is not on
// that thread, as it would have to wait for it at every answer.
func startOnThread(cmd *exec.Cmd) (ended func(), err error) {
	started, over := make(chan error), make(chan struct{})
	wait := parallel.Start(func() error {
		runtime.LockOSThread() // for good: the thread ends with this function
		started <- cmd.Start()
		<-over
		return nil
	})
	ended = sync.OnceFunc(func() {
		close(over)
		_ = wait() // it gives no error
	})
	if err = <-started; err != nil {
		ended()
	}
	return ended, err
}

// wait waits for the program's end.
func (v *verifier) wait() error {
	defer v.ended()
	return v.cmd.Wait()
}

// execVerdict is what the program says about one path.
type execVerdict struct {
	Correct *bool  `json:"correct"`
	Reason  string `json:"reason"`
}

// noAnswer says that the program is gone and why.
type noAnswer struct {
	why     string
	timeout bool
}

func (e *noAnswer) Error() string { return e.why }

// within runs f, and ends the program when ctx or the time is over: f's reads and
// writes fail then.
func (v *verifier) within(ctx context.Context, seconds float64, f func() error) (timeout bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
	defer cancel()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		killGroup(v.cmd)
		// A process that left the group may still hold the other ends.
		_, _ = v.in.Close(), v.out.Close()
	})
	err = f()
	if !stop() {
		<-ended
		return true, err
	}
	return false, err
}

// ask sends one line and reads the program's verdict on it. After a [*noAnswer] the
// program is gone.
func (v *verifier) ask(ctx context.Context, line []byte, seconds float64) (execVerdict, error) {
	var reply []byte
	timeout, err := v.within(ctx, seconds, func() error {
		if n := v.answer.Buffered(); n > 0 {
			extra, _ := v.answer.Peek(n)
			return v.surplus(extra)
		}
		// A program that ends while it is written to may have answered.
		_, werr := v.in.Write(line)
		var err error
		if reply, err = v.answer.ReadSlice('\n'); errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s wrote a line of more than 1 MiB: %s", v.name, shownLine(reply))
		} else if err != nil && len(bytes.TrimSpace(reply)) == 0 {
			return &noAnswer{why: "no answer: " + errors.Join(werr, err).Error()}
		}
		return nil
	})
	if timeout {
		v.kill()
		return execVerdict{}, &noAnswer{why: fmt.Sprintf("no answer within %gs", seconds), timeout: true}
	}
	var gone *noAnswer
	if errors.As(err, &gone) {
		gone.why = "it ended without an answer: " + v.end(ctx, seconds)
		return execVerdict{}, gone
	} else if err != nil {
		return execVerdict{}, err
	}
	var r execVerdict
	if err := json.Unmarshal(reply, &r); err != nil {
		return r, fmt.Errorf("%s wrote a line that is no verdict: %s: %v; it must write {\"correct\": true} or {\"correct\": false, \"reason\": \"why\"}, and nothing else, to its standard output", v.name, shownLine(reply), err)
	}
	if r.Correct == nil {
		return r, fmt.Errorf("%s wrote a verdict without the field correct: %s; write {\"correct\": true} or {\"correct\": false, \"reason\": \"why\"}", v.name, shownLine(reply))
	}
	return r, nil
}

func (v *verifier) surplus(line []byte) error {
	return fmt.Errorf("%s wrote more than one line for a path: %s; it must write one for each line that it reads, and other output to stderr", v.name, shownLine(line))
}

// end waits for a program that closed its output and says how it ended.
func (v *verifier) end(ctx context.Context, seconds float64) string {
	_ = v.in.Close()
	_, err := v.within(ctx, seconds, v.wait)
	killGroup(v.cmd) // what it left behind
	_ = v.out.Close()
	if err != nil {
		return err.Error()
	}
	return "exit status 0"
}

// finish ends the input and gives the program the time of one path to end. Its
// answers are there, so how it ends does not matter, but a line too many does: the
// answers are then shifted.
func (v *verifier) finish(ctx context.Context, seconds float64) error {
	_ = v.in.Close()
	var rest []byte
	_, _ = v.within(ctx, seconds, func() error {
		var err error
		rest, err = io.ReadAll(io.LimitReader(v.answer, stderrTail))
		return err
	})
	v.kill()
	if ctx.Err() != nil {
		return fmt.Errorf("%s was stopped: %w", v.name, ctx.Err())
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return v.surplus(rest)
	}
	return nil
}

// kill ends the program and all that it started, if they still run.
func (v *verifier) kill() {
	if v == nil {
		return
	}
	_, _ = v.in.Close(), v.out.Close()
	if v.cmd.ProcessState == nil {
		killGroup(v.cmd)
		_ = v.wait()
	}
}

// tail gives the last lines of the program's stderr, for an error.
func (l *launcher) tail() string {
	f, err := os.Open(l.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(size, stderrTail))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil {
		return ""
	}
	if size > stderrTail {
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(b), "\ufffd"))
	if text == "" {
		return "; it printed nothing to stderr"
	}
	return "; it printed last:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// shownLine is a line of the program, quoted and cut for an error.
func shownLine(line []byte) string {
	s := strings.TrimSpace(string(line))
	if r := []rune(s); len(r) > 200 {
		return strconv.Quote(string(r[:200])) + " ..."
	}
	return strconv.Quote(s)
}
