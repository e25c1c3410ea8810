package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/stages/llmstage"
)

// answerWithin is how long a run may take to answer a command. It looks twice a second;
// file systems of networks may show it a file later.
const answerWithin = 30 * time.Second

func (a app) ctlCmd() *cobra.Command {
	var f storeFlags
	steered := strings.Join(llmstage.Options{}.Steered(), ", ")
	c := &cobra.Command{
		Use:   "ctl RUN pause|resume|stop|set STAGE FIELD=VALUE...",
		Short: "Pause, resume, stop or change a run that goes on",
		Long: `ctl gives a command to a run that goes on, in another process or on another machine
that shares the store, and waits until the run has obeyed. ` + runDoc + `

  pause    no stage starts and no request goes out; what is on its way comes in, and
           stages that train or compute go on
  resume   go on
  stop     stop cleanly, as one Ctrl-C does; the next run continues from there
  set      other limits for a stage that asks a model and runs: ` + steered + `

No command changes what a result is cached under. Each stands in the run's log.`,
		Example: `  distillflow ctl last pause
  distillflow ctl recipes/gsm8k.yaml set replies concurrency=4 rpm=60`,
		Args: args(cobra.MinimumNArgs(2)),
		RunE: func(c *cobra.Command, pos []string) error {
			cmds, err := parseCommands(pos[1:])
			if err != nil {
				return err
			}
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			for _, cmd := range cmds {
				if err = a.control(c.Context(), st, r, cmd); err != nil {
					break
				}
			}
			return errors.Join(err, st.Close())
		},
	}
	f.add(c)
	runs := a.runNames(&f)
	c.ValidArgsFunction = func(c *cobra.Command, pos []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(pos) == 1:
			return []string{string(event.Pause), string(event.Resume), string(event.Stop), string(event.Set)}, cobra.ShellCompDirectiveNoFileComp
		case len(pos) == 2 && pos[1] == string(event.Set):
			return runs(c, pos[:1], typed)
		case len(pos) > 2:
			var fields []string
			for _, name := range (llmstage.Options{}).Steered() {
				fields = append(fields, name+"=")
			}
			return fields, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return runs(c, pos, typed)
	}
	return c
}

// parseCommands reads what follows RUN.
func parseCommands(words []string) ([]event.Command, error) {
	action := event.Action(words[0])
	whole := []event.Action{event.Pause, event.Resume, event.Stop}
	switch {
	case slices.Contains(whole, action) && len(words) == 1:
		return []event.Command{{Action: action}}, nil
	case slices.Contains(whole, action):
		return nil, usageError{fmt.Errorf("%s is for the whole run: nothing may follow it", action)}
	case action != event.Set:
		return nil, usageError{fmt.Errorf("ctl has no command %q: want pause, resume, stop, or set STAGE FIELD=VALUE", action)}
	case len(words) < 3:
		return nil, usageError{errors.New("set needs a stage and a field: set STAGE FIELD=VALUE, as in set replies rpm=60")}
	}
	var cmds []event.Command
	for _, w := range words[2:] {
		field, value, ok := strings.Cut(w, "=")
		v, err := strconv.ParseFloat(value, 64)
		if !ok || field == "" || err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, usageError{fmt.Errorf("set %s %s: want FIELD=NUMBER, as in rpm=60", words[1], w)}
		}
		cmds = append(cmds, event.Command{Action: action, Stage: words[1], Field: field, Value: v})
	}
	return cmds, nil
}

// control gives one command to a run and prints the answer.
func (a app) control(ctx context.Context, st *store.Store, r *runrecord.Run, cmd event.Command) error {
	if !r.Live() {
		return usageError{fmt.Errorf("run %s is over (%s): only one that goes on can be controlled", r.ID, r.Status)}
	}
	if cmd.Action == event.Set {
		if _, err := stageOf(r, cmd.Stage); err != nil {
			return err
		}
	}
	_, next, err := runrecord.Events(st, r.ID, 0)
	if err != nil {
		return err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	cmd.ID = hex.EncodeToString(id[:])
	if err := flow.Send(st, r.ID, cmd); err != nil {
		return err
	}
	for end := time.Now().Add(answerWithin); ; {
		live := r.Live() // before the events are read: those of a run that has ended are complete
		var events []event.Event
		if events, next, err = runrecord.Events(st, r.ID, next); err != nil {
			return err
		}
		for _, e := range events {
			switch {
			case e.Command == nil || e.Command.ID != cmd.ID:
			case e.Error != "":
				return usageError{errors.New(e.Error)}
			default:
				_, err := fmt.Fprintln(a.out, strings.TrimPrefix(cmd.Stage+": "+e.Message, ": "))
				return err
			}
		}
		switch {
		case !live:
			return usageError{fmt.Errorf("run %s ended before it took the command (%s)", r.ID, r.Status)}
		case time.Now().After(end):
			return fmt.Errorf("run %s has not answered within %s; it obeys when it reads the command", r.ID, answerWithin)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followEvery):
		}
		if _, err := r.Refresh(); err != nil {
			return err
		}
	}
}
