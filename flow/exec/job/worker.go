package job

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// ordersEvery is how often a worker looks for orders.
var ordersEvery = time.Second // tests shorten it

// Work runs the task in a folder and leaves its result there. The error is the task's.
// A task that was stopped from outside, by ctx, leaves no result: whoever stopped it
// knows, and another worker may go on with it in the same folder. Several workers on one
// folder, such as one that its scheduler believes dead, do not disturb each other: each
// has outputs of its own, and results are replaced as a whole.
func Work(ctx context.Context, f Folder, reg *stage.Registry, svc stage.Services) error {
	t, err := f.task()
	if err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	messages, err := os.OpenFile(f.File(messagesFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("telling of the task: %w", err)
	}
	defer messages.Close()
	send := newSender(messages)
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	send(Message{Started: &Start{Host: host, PID: os.Getpid()}})

	r := Result{Host: host, Out: "out-" + strings.ToLower(rand.Text()[:8])}
	if err := f.outputs(reg, &t, r.Out); err != nil {
		return err
	}
	if gpus := os.Getenv(stage.VisibleGPUs); t.Needs.GPUs > 0 && gpus != "" {
		t.GPUs = strings.Split(gpus, ",")
	}
	ended := make(chan struct{})
	svc.Control = &stage.Control{}
	obeying := parallel.Start(func() error { f.obey(t.Stage, svc.Control, ended); return nil })
	tctx, cancel := ctx, context.CancelFunc(func() {})
	if t.Needs.Time > 0 {
		tctx, cancel = context.WithTimeoutCause(ctx, t.Needs.Time, &exec.TimeoutError{Timeout: t.Needs.Time})
	}
	r.Message, err = run(tctx, t, reg, svc, send)
	late := &exec.TimeoutError{}
	if err != nil && errors.As(context.Cause(tctx), &late) {
		err = late // what the stage says of it is only a consequence
		r.Error, r.Shortage = late.Error(), exec.OfTime
	}
	cancel()
	close(ended)
	if oerr := obeying(); oerr != nil {
		return oerr
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err == nil {
		r.Files = map[string][]OutputFile{}
		for port, path := range t.Outputs {
			if r.Files[port], err = describe(path); err != nil {
				return fmt.Errorf("output %s: %w", port, err)
			}
		}
	}
	text, jerr := json.Marshal(r)
	if jerr != nil {
		return fmt.Errorf("writing the result: %w", jerr)
	}
	if werr := atomicfile.WriteBytes(f.File(resultFile), 0o666, atomicfile.Durable, text); werr != nil {
		return fmt.Errorf("writing the result: %w", werr)
	}
	return err
}

// outputs gives a task outputs in a folder of this worker's own.
func (f Folder) outputs(reg *stage.Registry, t *stage.Task, out string) error {
	t.Outputs = map[string]string{}
	if typ, ok := reg.Lookup(t.Type); ok {
		for _, p := range typ.Outputs {
			t.Outputs[p.Name] = f.File(filepath.Join(out, p.Name))
		}
	}
	return os.MkdirAll(f.File(out), 0o777)
}

// obey hands the orders in the folder to the stage's Control until it has ended.
func (f Folder) obey(name string, c *stage.Control, ended <-chan struct{}) {
	var last string
	for {
		b, err := os.ReadFile(f.File(ordersFile))
		var o stage.Orders
		if err == nil && string(b) != last && json.Unmarshal(b, &o) == nil {
			c.Obey(name, o)
			last = string(b)
		}
		select {
		case <-ended:
			return
		case <-time.After(ordersEvery):
		}
	}
}
