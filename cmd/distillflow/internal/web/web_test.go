package web

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/notes"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
	"github.com/distillflow/distillflow/stages/data"
)

// evil is what a model may write.
const evil = `<script>document.title="planted"</script><img src=x onerror="document.title='planted'"><a href="javascript:document.title='planted'">x</a>` + "\x1b[31mred\x07"

const recipeText = `
name: "read <b>me</b>"
params:
  api_key: sk-12345
stages:
  rows: {uses: import, with: {root: rows.jsonl}}
  teacher: {uses: accuracy, from: rows.rows}
  export: {uses: export, from: rows.rows}
`

// problems is an output as a run of a teacher makes it: n problems of two paths.
func problems(n int) []schema.Problem {
	var list []schema.Problem
	yes, no := true, false
	for i := range n {
		p := schema.Problem{ID: fmt.Sprintf("p%d", i), Task: "gsm8k", Question: fmt.Sprintf("What is %d and %d?", i, i), GoldAnswer: fmt.Sprint(2 * i)}
		right := fmt.Sprintf(`Two of \(x = %d\) cost $5 and $10, so $x^2$ is \boxed{%d}.`, i, 2*i)
		at := strings.LastIndex(right, "{") + 1
		p.Paths = []schema.Path{
			{Style: "cot", Prompt: p.Question + " Think.", Reasoning: "Let me THINK about it.", Response: right, FinishReason: "stop", Provider: "openai/big", Pred: fmt.Sprint(2 * i), Rule: "boxed", Span: &schema.Span{Start: at, End: len(right) - 2}, Correct: &yes, Reason: "equal: same number"},
			{Style: "plain", Prompt: p.Question, Response: "It is Ünknown, or " + fmt.Sprint(i) + ".", FinishReason: "stop", Provider: "openai/small", Pred: fmt.Sprint(i), Correct: &no, Reason: "not equal"},
		}
		if i == 0 {
			p.Paths[1].Response = evil
			p.Paths[1].Judge = &schema.Judge{Reason: evil}
		}
		list = append(list, p)
	}
	return list
}

// made runs the recipe over n problems and gives its store.
func made(t testing.TB, n int) (*store.Store, *stage.Registry, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "rows.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems(n) {
		line, err := p.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "recipe.yaml")
	if err := os.WriteFile(file, []byte(recipeText), 0o644); err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(slices.Concat(data.Stages(), analyze.Stages())...)
	if err != nil {
		t.Fatal(err)
	}
	eng := &flow.Engine{Registry: reg, MemoDir: filepath.Join(dir, "memo")}
	g, r, diags := eng.Load(file, recipe.Options{})
	if g == nil {
		var b strings.Builder
		_ = diags.Render(&b, r.Sources)
		t.Fatal(b.String())
	}
	res, err := eng.Run(t.Context(), g, flow.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, ".distillflow"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st, reg, runrecordLast(t, st)
}

func runrecordLast(t testing.TB, st *store.Store) string {
	t.Helper()
	info, err := runrecord.Find(st, "last")
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}

// site is a server and a browser that was let in.
type site struct {
	*httptest.Server
	server *Server
	run    string
	client *http.Client
}

func newSite(t testing.TB, n int) *site {
	t.Helper()
	st, reg, run := made(t, n)
	s, err := New(Options{Store: st, Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &site{Server: h, server: s, run: run, client: &http.Client{Jar: jar}}
	resp, err := x.client.Get(h.URL + "/?token=" + s.Token())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.URL.RawQuery != "" {
		t.Fatalf("the first visit: %s at %s", resp.Status, resp.Request.URL)
	}
	return x
}

// get gives the page at an address, where RUN stands for the run.
func (x *site) get(t testing.TB, address string) (int, string) {
	t.Helper()
	resp, err := x.client.Get(x.URL + strings.ReplaceAll(address, "RUN", x.run))
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

const rowsPage = "/runs/RUN/records/rows/rows"

// Every page is whole, and nothing that a model or a recipe wrote is markup in it.
func TestPages(t *testing.T) {
	x := newSite(t, 3)
	for address, want := range map[string]string{
		"/":                               x.run,
		"/runs/RUN":                       "rows",
		"/runs/last":                      "rows",
		"/runs/RUN/summary":               "43.9",
		rowsPage:                          "p0",
		rowsPage + "?sel=0.1":             "not equal",
		rowsPage + "?fragment=1&sel=0.1":  "not equal",
		"/runs/RUN/records/teacher/table": "gsm8k",
		"/runs/RUN/records/teacher/table?q=GSM8K&sel=0": "gsm8k",
		"/runs/RUN/files/export/dir":                    "rows.jsonl",
		"/runs/RUN/files/export/dir/rows.jsonl":         "p0",
		"/static/base.css":                              "--page",
		"/static/katex/katex.min.js":                    "katex",
	} {
		status, page := x.get(t, address)
		if status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s: %d, without %q:\n%s", address, status, want, page)
		}
		if strings.HasPrefix(address, "/static/katex") || strings.HasSuffix(address, ".jsonl") {
			continue
		}
		for _, bad := range []string{"<script>", "<img src=x", "<a href=\"javascript", "<b>me", "sk-12345", " style=", "onclick"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s has %s", address, bad)
			}
		}
	}
	for _, address := range []string{"/nothing", "/compare?run=x&run=RUN", "/runs/x", "/runs/RUN/records/rows/x", "/runs/RUN/records/x/rows", "/runs/RUN/records/export/dir", "/runs/RUN/files/rows/rows", rowsPage + "?sel=99999.0", rowsPage + "?at=x", rowsPage + "?fragment=1&sel=0.7",
		"/runs/RUN/files/export/dir/none", "/runs/RUN/files/export/dir/..%2f..%2fversion", "/static/", "/static/none", "/runs/..%2f..%2f"} {
		want := http.StatusNotFound
		if address == rowsPage+"?sel=99999.0" {
			want = http.StatusOK // the list is there, and the page says what is not
		}
		if status, page := x.get(t, address); status != want {
			t.Errorf("%s: %d, want %d\n%s", address, status, want, page)
		}
	}
}

func TestCompareNeedsTwoRuns(t *testing.T) {
	x := newSite(t, 1)
	for _, address := range []string{"/compare", "/compare?run=RUN", "/compare?" + strings.Repeat("run=RUN&", maxCompared+1)} {
		if status, page := x.get(t, address); status != http.StatusBadRequest || !strings.Contains(page, "choose from 2 to 10 runs") {
			t.Errorf("%s: %d\n%s", address, status, page)
		}
	}
}

// A file that a stage made may be a page with scripts; nothing in it runs.
func TestFilesRunNothing(t *testing.T) {
	x := newSite(t, 1)
	resp, err := x.client.Get(x.URL + "/runs/last/files/export/dir/rows.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	h := resp.Header
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || strings.Contains(csp, "allow-") || strings.Contains(csp, "script-src") || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", h)
	}
}

// found lists the records of a page as id/style.
func (x *site) found(t *testing.T, query url.Values) (list []string, page string) {
	t.Helper()
	_, page = x.get(t, rowsPage+"?"+query.Encode())
	for _, part := range strings.Split(page, `class="item"`)[1:] {
		part, _, _ = strings.Cut(part, "</a>")
		_, part, _ = strings.Cut(part, "<strong>")
		id, part, _ := strings.Cut(part, "</strong>")
		_, part, _ = strings.Cut(part, `<span class="muted">`)
		style, _, _ := strings.Cut(part, "<")
		list = append(list, id+"/"+style)
	}
	return list, page
}

func TestFilters(t *testing.T) {
	x := newSite(t, 4)
	for _, c := range []struct {
		query string
		want  string
	}{
		{"", "p0/cot p0/plain p1/cot p1/plain p2/cot p2/plain p3/cot p3/plain"},
		{"style=cot", "p0/cot p1/cot p2/cot p3/cot"},
		{"verdict=wrong", "p1/plain p2/plain p3/plain"},
		{"verdict=invalid", "p0/plain"},
		{"provider=openai/small&verdict=wrong", "p1/plain p2/plain p3/plain"},
		{"q=let me think", "p0/cot p1/cot p2/cot p3/cot"},
		{"q=ünKNOWN, OR 2", "p2/plain"},
		{"q=ÜNK", "p1/plain p2/plain p3/plain"},
		{`q="javascript:`, "p0/plain"},
		{`q=\boxed{4`, "p2/cot"},
		{"q=what is 3", "p3/cot p3/plain"},
		{"q=openai", ""}, // it is in no text
		{`where=id == "p1"`, "p1/cot p1/plain"},
		{`where=gold_answer == "2" or id == "p3"&style=plain`, "p1/plain p3/plain"},
		{"mark=right", ""},
	} {
		q := url.Values{}
		for part := range strings.SplitSeq(c.query, "&") {
			name, value, _ := strings.Cut(part, "=")
			q.Set(name, value)
		}
		got, page := x.found(t, q)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s\n%s", c.query, got, c.want, page)
		}
		_, text := x.get(t, "/runs/RUN/count/rows/rows?"+q.Encode())
		var count struct{ Count int }
		if err := json.Unmarshal([]byte(text), &count); err != nil || count.Count != len(got) {
			t.Errorf("%s: counted %s, %v", c.query, text, err)
		}
	}
	for where, want := range map[string]string{"id ==": "where", `gold_answr == "1"`: "gold_answer", "id + 1 == 2": "id"} {
		if _, page := x.found(t, url.Values{"where": {where}}); !strings.Contains(page, `role="alert"`) || !strings.Contains(page, want) {
			t.Errorf("%s: no word of what is wrong:\n%s", where, page)
		}
	}
	_, page := x.found(t, nil)
	for _, want := range []string{`<option value="plain">plain (4)`, `<option value="invalid">invalid (1)`, `<option value="openai/big">openai/big (4)`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

// Next pages go on where the page before ended, each record once.
func TestPaging(t *testing.T) {
	x := newSite(t, 120)
	var all []string
	next := rowsPage + "?verdict=right"
	for next != "" {
		u, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		list, page := x.found(t, u.Query())
		if len(list) == 0 || len(list) > perPage {
			t.Fatalf("%d records on a page", len(list))
		}
		all = append(all, list...)
		_, part, ok := strings.Cut(page, `id="next" href="`)
		next = ""
		if ok {
			next, _, _ = strings.Cut(part, `"`)
			next = html.UnescapeString(next)
		}
	}
	if len(all) != 120 || all[50] != "p50/cot" || all[119] != "p119/cot" {
		t.Errorf("%d records: %v", len(all), all)
	}
}

// A search whose time is over is shown with what it found, and goes on from there.
func TestSearchGoesOn(t *testing.T) {
	x := newSite(t, 200)
	first, more := searchFor, goOnFor
	searchFor, goOnFor = 0, 0
	t.Cleanup(func() { searchFor, goOnFor = first, more })
	var all []string
	pages, q := 0, url.Values{"q": {"or 199."}}
	for ; q != nil && pages < 100; pages++ {
		list, page := x.found(t, q)
		all = append(all, list...)
		_, part, ok := strings.Cut(page, `id="next" href="`)
		q = nil
		if ok {
			part, _, _ = strings.Cut(part, `"`)
			u, err := url.Parse(html.UnescapeString(part))
			if err != nil {
				t.Fatal(err)
			}
			q = u.Query()
		}
	}
	if strings.Join(all, " ") != "p199/plain" || pages < 3 {
		t.Errorf("%v on %d pages", all, pages)
	}
}

// A copy needs no server: every link in it leads to one of its files.
func TestExport(t *testing.T) {
	x := newSite(t, 3)
	run, err := runrecord.Open(x.server.Store, x.server.Registry, x.run)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	// A damaged note is told of, and keeps no copy from being made.
	if err := os.WriteFile(notes.Path(x.server.Store.Dir()), []byte("{broken\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := x.server.Export(t.Context(), run, dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "index.html")); err != nil || !strings.Contains(string(b), ":1: not a note") {
		t.Errorf("the copy does not tell of the damaged note: %v", err)
	}
	list, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil || len(list) < 4 {
		t.Fatalf("%v, %v", list, err)
	}
	links := regexp.MustCompile(`(?:href|src)="([^"#]+)`)
	for _, file := range list {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range links.FindAllStringSubmatch(string(b), -1) {
			if strings.HasPrefix(m[1], "data:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil || strings.HasPrefix(m[1], "/") {
				t.Errorf("%s leads to %s: %v", file, m[1], err)
			}
		}
		for _, bad := range []string{"<script>", "<img src=x", "<a href=\"javascript", "<b>me", "sk-12345", "<form"} {
			if strings.Contains(string(b), bad) {
				t.Errorf("%s has %s", file, bad)
			}
		}
	}
	if err := x.server.Export(t.Context(), run, dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a folder with files: %v", err)
	}
}

func TestLive(t *testing.T) {
	x := newSite(t, 1)
	_, text := x.get(t, "/runs/RUN/live")
	if !strings.HasPrefix(text, "event: state\ndata: ") || !strings.HasSuffix(text, "event: done\ndata:\n\n") || !strings.Contains(text, "teacher") {
		t.Errorf("the events of a run that has ended are\n%s", text)
	}
}
