package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/store"
)

// Of a run that is followed: how often it is looked at, and how often a stage's progress
// is told.
const (
	followEvery   = 300 * time.Millisecond
	progressEvery = 5 * time.Second
)

func (a app) logCmd() *cobra.Command {
	var f storeFlags
	var follow bool
	c := &cobra.Command{
		Use:   "log RUN [STAGE]",
		Short: "Print what happened in a run, or in one of its stages",
		Long: `log prints the events of a run with their local times, one a line, all warnings and the
whole text of errors among them. ` + runDoc + `

--follow goes on until the run ends, and tells how far its stages are.`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(c *cobra.Command, pos []string) error {
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			l := logger{w: a.out, st: st, run: r, told: map[string]time.Time{}}
			if len(pos) > 1 {
				s, err := stageOf(r, pos[1])
				if err != nil {
					return errors.Join(err, st.Close())
				}
				l.stage = s.Name
			}
			return errors.Join(l.print(c.Context(), follow), st.Close())
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run ends")
	return c
}

// logger prints the events of a run.
type logger struct {
	w     io.Writer
	st    *store.Store
	run   *runrecord.Run
	stage string // "" for all
	next  int64
	told  map[string]time.Time // when a stage's progress was last told
}

// print prints what is there. With follow it goes on until the run or the context ends.
func (l *logger) print(ctx context.Context, follow bool) error {
	for {
		live := l.run.Live() // before the events are read: those of a run that has ended are complete
		if err := l.events(); err != nil || !follow || !live {
			return err
		}
		if err := l.progress(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		if _, err := l.run.Refresh(); err != nil {
			return err
		}
	}
}

func (l *logger) events() error {
	events, next, err := runrecord.Events(l.st, l.run.ID, l.next)
	l.next = next
	for _, e := range events {
		if l.stage == "" || e.Stage == l.stage {
			if _, err := io.WriteString(l.w, view.LogLine(e)); err != nil {
				return err
			}
		}
	}
	return err
}

func (l *logger) progress() error {
	for _, s := range l.run.Stages {
		if s.Progress == nil || l.stage != "" && s.Name != l.stage || time.Since(l.told[s.Name]) < progressEvery {
			continue
		}
		l.told[s.Name] = time.Now()
		if _, err := io.WriteString(l.w, view.LogLine(*s.Progress)); err != nil {
			return err
		}
	}
	return nil
}
