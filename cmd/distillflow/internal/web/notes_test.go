package web

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/notes"
)

func (x *site) post(t *testing.T, origin string, form url.Values) (int, string) {
	t.Helper()
	return x.postTo(t, "/runs/"+x.run+"/notes/rows/rows", origin, form)
}

func (x *site) postTo(t *testing.T, address, origin string, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequest("POST", x.URL+address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	resp, err := x.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestNotes(t *testing.T) {
	x := newSite(t, 2)
	file := notes.Path(x.server.Store.Dir())
	form := func(at, mark, comment string) url.Values {
		return url.Values{"at": {at}, "mark": {mark}, "comment": {comment}, "query": {""}}
	}
	for _, c := range []struct {
		origin string
		form   url.Values
		status int
	}{
		{"http://evil.example", form("0.0", "right", ""), http.StatusForbidden},
		{x.URL, form("0.0", "great", ""), http.StatusBadRequest},
		{x.URL, form("", "right", ""), http.StatusBadRequest},
		{x.URL, form("0.9", "right", ""), http.StatusNotFound},
		{x.URL, form("1.0", "right", ""), http.StatusInternalServerError}, // in the middle of a row
		{x.URL, form("0.0", "right", strings.Repeat("x", maxForm)), http.StatusBadRequest},
	} {
		if status, page := x.post(t, c.origin, c.form); status != c.status {
			t.Errorf("%v from %s: %d, want %d\n%s", c.form["at"], c.origin, status, c.status, page)
		}
	}
	// A GET changes nothing, whatever it asks for.
	_, _ = x.get(t, "/runs/RUN/notes/rows/rows?at=0.0&mark=right")
	_, _ = x.get(t, rowsPage+"?at=0.0&mark=right")
	if _, err := os.Stat(file); err == nil {
		t.Fatal("there are notes")
	}

	status, page := x.post(t, x.URL, form("0.1", "wrong", `<b>adds</b>`))
	if status != http.StatusOK || !strings.Contains(page, "&lt;b&gt;adds") || !strings.Contains(page, "aria-pressed") {
		t.Errorf("after the note: %d\n%s", status, page)
	}
	list, err := notes.Read(x.server.Store.Dir())
	key := notes.Key(&problems(1)[0], 1)
	if n := list[key]; err != nil || len(list) != 1 || n.Mark != "wrong" || n.Comment != "<b>adds</b>" || n.Stage != "rows.rows" || n.Output == "" || n.Time.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	if got, _ := x.found(t, url.Values{"mark": {"wrong"}}); strings.Join(got, " ") != "p0/plain" {
		t.Errorf("marked wrong: %v", got)
	}
	if _, page := x.post(t, x.URL, url.Values{"at": {"0.1"}, "mark": {""}, "fragment": {"1"}}); strings.HasPrefix(page, "<!DOCTYPE") || strings.Contains(page, "aria-pressed") {
		t.Errorf("after it was taken back:\n%s", page)
	}
	if got, _ := x.found(t, url.Values{"mark": {"wrong"}}); len(got) != 0 {
		t.Errorf("marked wrong: %v", got)
	}
}
