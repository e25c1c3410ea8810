package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
)

// controlView is what can be changed of a run that goes on, and what was.
type controlView struct {
	Stages  []string // those with limits
	Fields  []string // of them
	Answers []answerView
}

// answerView is the answer of a run to a command.
type answerView struct {
	ID, Time, Command, Text string
	Refused                 bool
}

func (s *Server) controlView(run *runrecord.Run) controlView {
	var v controlView
	for _, st := range run.Stages {
		typ, ok := s.Registry.Lookup(st.Type)
		if !ok {
			continue
		}
		fields := typ.Steered()
		if len(fields) > 0 {
			v.Stages = append(v.Stages, st.Name)
		}
		for _, f := range fields {
			if !slices.Contains(v.Fields, f) {
				v.Fields = append(v.Fields, f)
			}
		}
	}
	for _, e := range slices.Backward(run.Answers) {
		a := answerView{Time: e.Time.UTC().Format("15:04:05"), Text: e.Message}
		if c := e.Command; c != nil {
			a.ID, a.Command = c.ID, string(c.Action)
			if c.Action == event.Set {
				a.Command = fmt.Sprintf("set %s %s=%v", c.Stage, c.Field, c.Value)
			}
		}
		if e.Error != "" {
			a.Refused, a.Text = true, e.Error
		}
		v.Answers = append(v.Answers, a)
	}
	return v
}

// control gives a command to a run that goes on. The run answers by an event, which its
// page shows.
func (s *Server) control(w http.ResponseWriter, r *http.Request) error {
	run, err := s.run(r)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return badRequest{err}
	}
	cmd, err := commandOf(r.PostForm)
	if err != nil {
		return badRequest{err}
	}
	if !run.Live() {
		return badRequest{fmt.Errorf("run %s is over (%s): only one that goes on can be controlled", run.ID, run.Status)}
	}
	cmd.ID = rand.Text()
	if err := flow.Send(s.Store, run.ID, cmd); err != nil {
		return err
	}
	if r.PostForm.Get("fragment") != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err := w.Write([]byte(cmd.ID))
		return err
	}
	http.Redirect(w, r, "/runs/"+run.ID, http.StatusSeeOther)
	return nil
}

// commandOf reads a form. Whether stage, field and value fit is for the run to say.
func commandOf(form url.Values) (event.Command, error) {
	cmd := event.Command{Action: event.Action(form.Get("action"))}
	switch cmd.Action {
	case event.Pause, event.Resume, event.Stop:
		return cmd, nil
	case event.Set:
	default:
		return cmd, fmt.Errorf("there is no command %q: want %s, %s, %s or %s", cmd.Action, event.Pause, event.Resume, event.Stop, event.Set)
	}
	cmd.Stage, cmd.Field = form.Get("stage"), form.Get("field")
	if cmd.Stage == "" || cmd.Field == "" {
		return cmd, errors.New("set needs a stage and a field")
	}
	var err error
	if cmd.Value, err = strconv.ParseFloat(form.Get("value"), 64); err != nil || math.IsNaN(cmd.Value) || math.IsInf(cmd.Value, 0) {
		return cmd, fmt.Errorf("value %q of %s is no number", form.Get("value"), cmd.Field)
	}
	return cmd, nil
}
