package job

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/lines"
)

// Message is one line of what a worker tells of its task.
type Message struct {
	Started  *Start          `json:"started,omitempty"`
	Progress *stage.Progress `json:"progress,omitempty"`
	Warning  string          `json:"warning,omitempty"`
	Result   *stage.Result   `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`    // beside the Result's Stats
	Final    bool            `json:"final,omitempty"`    // of Error: another try would fail too
	Budget   bool            `json:"budget,omitempty"`   // of Error: see [exec.OverBudget]
	Shortage exec.Shortage   `json:"shortage,omitempty"` // of Error: see [exec.ShortageError]
}

// Start says that a worker has begun, and where.
type Start struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
}

// Error is a task that failed in its own process.
type Error struct {
	Msg      string
	ExitCode int  // of the process; -1 if a signal ended it or it is not known
	Final    bool // another try would fail too
}

// Permanent reports whether another try would fail too; see [exec.Permanent].
func (e *Error) Permanent() bool { return e.Final }

// Error implements error.
func (e *Error) Error() string { return e.Msg }

// budgetError is an Error of a task that a budget stopped.
type budgetError struct{ err *Error }

func (e budgetError) Error() string { return e.err.Msg }
func (e budgetError) Unwrap() error { return e.err }

// BudgetSpent is what [exec.OverBudget] looks for.
func (budgetError) BudgetSpent() {}

// Outcome is what a task's last message says: its result, with an error that wraps an
// [*Error], or is an [*exec.ShortageError], if it failed.
func (m Message) Outcome() (stage.Result, error) {
	var res stage.Result
	if m.Result != nil {
		res = *m.Result
	}
	switch {
	case m.Shortage != "":
		return res, &exec.ShortageError{Of: m.Shortage, Msg: m.Error}
	case m.Error != "":
		e := &Error{Msg: m.Error, ExitCode: -1, Final: m.Final}
		if m.Budget {
			return res, budgetError{e}
		}
		return res, e
	}
	return res, nil
}

// Run runs a task and writes messages to w, the last of them with its result or its
// error, which it also returns.
func Run(ctx context.Context, t stage.Task, reg *stage.Registry, svc stage.Services, w io.Writer) error {
	send := newSender(w)
	m, err := run(ctx, t, reg, svc, send)
	send(m)
	return err
}

// run gives a task's last message and, if it failed, its error.
func run(ctx context.Context, t stage.Task, reg *stage.Registry, svc stage.Services, send func(Message)) (Message, error) {
	svc.Progress = func(p stage.Progress) { p.Message = clip(p.Message); send(Message{Progress: &p}) }
	svc.Warn = func(m string) { send(Message{Warning: clip(m)}) }
	res, err := reg.Run(ctx, t, svc)
	if err != nil {
		return Message{Error: clip(err.Error()), Final: exec.Permanent(err), Budget: exec.OverBudget(err), Result: &stage.Result{Stats: res.Stats}}, err
	}
	res.Incomplete = clip(res.Incomplete)
	return Message{Result: &res}, nil
}

// newSender returns a function that writes one message a line, whole, from any
// goroutine. Whoever reads them notices a failed write: the result is missing.
func newSender(w io.Writer) func(Message) {
	var mu sync.Mutex
	return func(m Message) {
		b, err := json.Marshal(m)
		if err != nil { // a progress value that is NaN or infinite
			return
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = w.Write(append(b, '\n'))
	}
}

// Relay passes a worker's messages on and returns its last one. It always reads to
// the end: a worker must never wait for its reader. Other lines are the output of some
// library; they are dropped, as its standard error is.
func Relay(r io.Reader, h exec.Hooks) (last Message) {
	told := false
	for l, err := range lines.Of(r, maxLine) {
		if err != nil {
			break
		}
		if l.Long && !told {
			told = true
			tooLong(h)
		}
		if m, ok := pass(l.Text, h); ok {
			last = m
		}
	}
	return last
}

// pass gives a line to the hook that it is for. It reports whether the line ends the
// task.
func pass(line []byte, h exec.Hooks) (m Message, end bool) {
	if json.Unmarshal(line, &m) != nil {
		return m, false
	}
	switch {
	case m.Progress != nil && h.Progress != nil:
		h.Progress(*m.Progress)
	case m.Warning != "" && h.Warn != nil:
		h.Warn(m.Warning)
	case m.Result != nil || m.Error != "":
		return m, true
	}
	return m, false
}
