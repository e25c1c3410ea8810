package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// ErrStopped is why a run ended that was stopped by a command; see [Send].
var ErrStopped = errors.New("by 'distillflow ctl'")

// Commands come by a file in the run's folder, which also works where the run is on
// another host that shares the store, and on systems without signals.
const (
	controlFile  = "control.jsonl"
	controlEvery = 500 * time.Millisecond // how often a run looks for commands
)

// Send gives a command to a run that goes on. The run answers by an event with the
// command's ID, about a second later, whether it obeys or not.
func Send(st *store.Store, id string, c event.Command) error {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	// One write of one line: commands of several processes do not mix.
	f, err := os.OpenFile(filepath.Join(st.RunDir(id), controlFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	return nil
}

// controller obeys the commands that come for a run.
type controller struct {
	control *stage.Control
	graph   *graph.Graph
	stop    context.CancelCauseFunc
	path    string // "" for a run without a folder
	next    int64  // where unread commands begin

	mu     sync.Mutex
	states map[string]event.Kind // the last of stages that have started
}

func newController(h *historian, g *graph.Graph, stop context.CancelCauseFunc) *controller {
	c := &controller{control: &stage.Control{}, graph: g, stop: stop, states: map[string]event.Kind{}}
	if h.run != nil {
		c.path = filepath.Join(h.run.Dir(), controlFile)
	}
	return c
}

// event notes which stages run.
func (c *controller) event(e event.Event) {
	switch e.Kind {
	case event.StageStarted, event.StageDone, event.StageFailed, event.StageStopped, event.StageHit, event.StageSkipped:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.states[e.Stage] = e.Kind
	}
}

// watch obeys commands until unwatch is called.
func (c *controller) watch(sink event.Sink) (unwatch func() error) {
	if c.path == "" {
		return func() error { return nil }
	}
	end := make(chan struct{})
	wait := parallel.Start(func() error {
		tick := time.NewTicker(controlEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return nil
			case <-tick.C:
				c.poll(sink)
			}
		}
	})
	return func() error { close(end); return wait() }
}

// poll reads the commands that have come. What cannot be read now is tried again.
func (c *controller) poll(sink event.Sink) {
	f, err := os.Open(c.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && c.next == 0 {
			c.next = -1 // said once
			sink(event.Event{Time: time.Now(), Kind: event.StageWarning, Message: fmt.Sprintf("commands to this run cannot be read: %v", err)})
		}
		return
	}
	defer f.Close()
	c.next = max(c.next, 0)
	b, err := io.ReadAll(io.NewSectionReader(f, c.next, 1<<20))
	if err != nil {
		return
	}
	for {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if !whole {
			return
		}
		b = rest
		c.next += int64(len(line)) + 1
		var cmd event.Command
		err := json.Unmarshal(line, &cmd)
		e := event.Event{Time: time.Now(), Kind: event.RunControl, Command: &cmd}
		if err == nil {
			e.Message, err = c.obey(cmd)
		}
		if err != nil {
			e.Error = err.Error()
		} else {
			e.Stage = cmd.Stage
		}
		sink(e)
	}
}

// obey does what a command says and tells what that was.
func (c *controller) obey(cmd event.Command) (string, error) {
	if cmd.Action != event.Set && cmd.Stage != "" {
		return "", fmt.Errorf("%s is for the whole run, not for stage %s", cmd.Action, cmd.Stage)
	}
	switch cmd.Action {
	case event.Pause:
		c.control.Pause(true)
		return "paused: no stage starts and no request goes out", nil
	case event.Resume:
		c.control.Pause(false)
		return "resumed", nil
	case event.Stop:
		c.stop(ErrStopped)
		return "stopping", nil
	case event.Set:
		n, err := c.running(cmd.Stage)
		if err == nil {
			var changed *stage.Config
			changed, err = n.Config.Steer(cmd.Field, cmd.Value)
			if err == nil && n.Stage.Shards > 1 {
				err = changed.Whole()
			}
		}
		if err != nil {
			return "", err
		}
		c.control.Set(cmd.Stage, cmd.Field, cmd.Value)
		return cmd.Field + " is now " + strconv.FormatFloat(cmd.Value, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("there is no command %q: want %s, %s, %s or %s", cmd.Action, event.Pause, event.Resume, event.Stop, event.Set)
}

// running finds a stage that runs.
func (c *controller) running(name string) (*graph.Node, error) {
	n := c.graph.Node(name)
	if n == nil {
		return nil, fmt.Errorf("the run has no stage %s", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	state, known := c.states[name]
	if state == event.StageStarted {
		return n, nil
	}
	what := "has not started"
	if known {
		what = "has ended"
	}
	var now []string
	for _, other := range slices.Sorted(maps.Keys(c.states)) {
		if c.states[other] == event.StageStarted {
			now = append(now, other)
		}
	}
	if len(now) == 0 {
		now = []string{"none"}
	}
	return nil, fmt.Errorf("stage %s %s; running: %s", name, what, strings.Join(now, ", "))
}
