package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/stages/prompt"
)

func TestControl(t *testing.T) {
	x := newSite(t, 1)
	over := "/runs/" + x.run
	if _, page := x.get(t, over); strings.Contains(page, "/control") {
		t.Errorf("the page of a run that has ended offers control:\n%s", page)
	}
	if status, page := x.postTo(t, over+"/control", x.URL, url.Values{"action": {"pause"}}); status != http.StatusBadRequest || !strings.Contains(page, "is over (done)") {
		t.Errorf("a run that has ended: %d\n%s", status, page)
	}

	reg, err := stage.NewRegistry(prompt.Stages()...)
	if err != nil {
		t.Fatal(err)
	}
	x.server.Registry = reg
	run, err := x.server.Store.NewRun(store.RunInfo{Recipe: "r.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(e event.Event) {
		t.Helper()
		e.Time = time.Now()
		if err := errors.Join(run.Event(e), run.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	tell(event.Event{Kind: event.StageStarted, Stage: "prompts", Type: "wrap-cot"})
	tell(event.Event{Kind: event.StageStarted, Stage: "replies", Type: "batch-llm"})
	live := "/runs/" + filepath.Base(run.Dir())
	_, page := x.get(t, live)
	for _, want := range []string{`action="` + live + `/control"`, "<option>replies</option>", "<option>budget_usd</option>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "<option>prompts</option>") {
		t.Errorf("a stage without limits is offered:\n%s", page)
	}

	// What is not sent.
	set := func(value string) url.Values {
		return url.Values{"action": {"set"}, "stage": {"replies"}, "field": {"rpm"}, "value": {value}, "fragment": {"1"}}
	}
	if status, _ := x.get(t, live+"/control?action=stop"); status != http.StatusMethodNotAllowed {
		t.Errorf("by GET: %d", status)
	}
	for _, c := range []struct {
		origin string
		form   url.Values
		status int
	}{
		{"http://evil.example", set("60"), http.StatusForbidden},
		{"", set("60"), http.StatusForbidden},
		{x.URL, set("NaN"), http.StatusBadRequest},
		{x.URL, set("many"), http.StatusBadRequest},
		{x.URL, url.Values{"action": {"set"}, "value": {"1"}}, http.StatusBadRequest},
		{x.URL, url.Values{"action": {"halt"}}, http.StatusBadRequest},
	} {
		if status, page := x.postTo(t, live+"/control", c.origin, c.form); status != c.status {
			t.Errorf("%v from %q: %d, want %d\n%s", c.form, c.origin, status, c.status, page)
		}
	}
	resp, err := http.Post(x.URL+live+"/control", "application/x-www-form-urlencoded", strings.NewReader("action=stop"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("without the cookie: %s", resp.Status)
	}
	file := filepath.Join(run.Dir(), "control.jsonl")
	if b, err := os.ReadFile(file); err == nil {
		t.Fatalf("sent: %s", b)
	}

	// What is sent, and its answers.
	status, id := x.postTo(t, live+"/control", x.URL, set("60"))
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, id)
	}
	if status, page := x.postTo(t, live+"/control", x.URL, url.Values{"action": {"pause"}, "stage": {"replies"}}); status != http.StatusOK || !strings.HasPrefix(page, "<!DOCTYPE") {
		t.Errorf("without a script: %d\n%s", status, page)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cmds []event.Command
	for line := range strings.Lines(string(b)) {
		var c event.Command
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, c)
	}
	if len(cmds) != 2 || cmds[0] != (event.Command{ID: id, Action: event.Set, Stage: "replies", Field: "rpm", Value: 60}) || cmds[1] != (event.Command{ID: cmds[1].ID, Action: event.Pause}) || cmds[1].ID == id {
		t.Fatalf("%+v", cmds)
	}
	tell(event.Event{Kind: event.RunControl, Command: &cmds[0], Error: "rpm: <b>no"})
	tell(event.Event{Kind: event.RunControl, Command: &cmds[1], Message: "paused: nothing starts"})
	_, page = x.get(t, live)
	for _, want := range []string{`data-command="` + id + `"`, "set replies rpm=60", "refused</span> rpm: &lt;b&gt;no", "applied</span> paused: nothing starts", `waiting">paused`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}
