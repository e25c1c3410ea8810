package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Options say what a server shows.
type Options struct {
	Store    *store.Store
	Registry *stage.Registry
	Recipe   string // shown in the title; "" for a store
	Public   bool   // it listens on more than the loopback interface
}

// Server serves the pages of one store.
type Server struct {
	Options
	guard     guard
	templates *template.Template

	mu      sync.Mutex
	entries map[string]runrecord.Entry // of runs that have ended
	reports cache[template.HTML]       // by run
	facets  cache[*facets]             // by output
}

// New makes a server with a new token.
func New(o Options) (*Server, error) {
	s := &Server{Options: o, guard: newGuard(o.Public), entries: map[string]runrecord.Entry{}}
	t, err := pages.Templates().Funcs(template.FuncMap{
		"duration": func(seconds float64) string { return text.Duration(time.Duration(seconds * float64(time.Second))) },
		"size":     text.Size,
		"percent":  func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
		"path":     url.PathEscape,
		"count64":  pages.Count[int64],
		"when":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
	}).ParseFS(templateFiles, "templates/*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("the pages' templates: %w", err)
	}
	s.templates = t
	return s, nil
}

// Token lets a browser in.
func (s *Server) Token() string { return s.guard.token }

// Handler serves all pages.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	page := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil && r.Context().Err() == nil {
				s.fail(w, err)
			}
		})
	}
	page("GET /{$}", s.runsPage)
	page("GET /live", s.runsLive)
	page("GET /compare", s.comparePage)
	page("GET /runs/{run}", s.runPage)
	page("GET /runs/{run}/live", s.runLive)
	page("GET /runs/{run}/summary", s.runSummary)
	page("POST /runs/{run}/control", s.control)
	page("GET /runs/{run}/records/{stage}/{port}", s.recordsPage)
	page("GET /runs/{run}/count/{stage}/{port}", s.countRecords)
	page("GET /runs/{run}/routing/{stage}/{port}", s.routingPage)
	page("POST /runs/{run}/notes/{stage}/{port}", s.takeNote)
	page("GET /runs/{run}/files/{stage}/{port}", s.files)
	page("GET /runs/{run}/files/{stage}/{port}/{file...}", s.files)
	mux.HandleFunc("GET /static/base.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "private, max-age=3600")
		_, _ = w.Write([]byte(pages.CSS()))
	})
	files := http.FileServerFS(staticFiles)
	mux.HandleFunc("GET /static/{file...}", func(w http.ResponseWriter, r *http.Request) {
		if info, err := fs.Stat(staticFiles, "static/"+r.PathValue("file")); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "private, max-age=3600")
		files.ServeHTTP(w, r)
	})
	return s.guard.wrap(mux)
}

// notFound is a name in an address that stands for nothing.
type notFound struct{ msg string }

func (e notFound) Error() string { return e.msg }

// badRequest is a form that says something wrong.
type badRequest struct{ error }

// fail shows an error.
func (s *Server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var missing notFound
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		status = http.StatusBadRequest
	case errors.As(err, &missing) || errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	}
	var b bytes.Buffer
	if terr := s.templates.ExecuteTemplate(&b, "error", map[string]any{"Title": http.StatusText(status), "Error": err.Error()}); terr != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// show writes a page; one that fails half way is not begun.
func (s *Server) show(w http.ResponseWriter, name string, data any) error {
	b, err := s.render(name, data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(b))
	return err
}

func (s *Server) render(name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("page %s: %w", name, err)
	}
	return template.HTML(b.String()), nil // made by the template
}

// run opens the run of an address.
func (s *Server) run(r *http.Request) (*runrecord.Run, error) {
	info, err := runrecord.Find(s.Store, r.PathValue("run"))
	if err != nil {
		return nil, notFound{err.Error()}
	}
	return runrecord.Open(s.Store, s.Registry, info.ID)
}

// output opens the run and finds the output of an address, a folder or one of rows.
func (s *Server) output(r *http.Request, folder bool) (*runrecord.Run, runrecord.Output, error) {
	run, err := s.run(r)
	if err != nil {
		return nil, runrecord.Output{}, err
	}
	if st := run.Stage(r.PathValue("stage")); st != nil {
		if o, ok := st.Output(r.PathValue("port")); ok && folder == (o.Kind == store.KindDir) {
			return run, o, nil
		}
	}
	return nil, runrecord.Output{}, notFound{fmt.Sprintf("run %s has no output %s.%s, or not yet", run.ID, r.PathValue("stage"), r.PathValue("port"))}
}

// live sends what render gives by server-sent events whenever it changes, until done or
// the reader has gone.
func (s *Server) live(w http.ResponseWriter, r *http.Request, every time.Duration, render func() (html template.HTML, done bool, err error)) error {
	flush := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	last := template.HTML("")
	for {
		html, done, err := render()
		if err != nil {
			return sendEvent(w, flush, "gone", text.OneLine(err.Error()))
		}
		if html != last {
			if err := sendEvent(w, flush, "state", string(html)); err != nil {
				return nil // nobody reads any more
			}
			last = html
		}
		if done {
			_ = sendEvent(w, flush, "done", "")
			return nil
		}
		if !sleep(r.Context(), every) {
			return nil
		}
	}
}

func sendEvent(w http.ResponseWriter, flush *http.ResponseController, name, data string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range bytes.Lines([]byte(data)) {
		fmt.Fprintf(&b, "data: %s\n", bytes.TrimRight(line, "\r\n"))
	}
	b.WriteString("data:\n\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	return flush.Flush()
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// cache keeps the latest few values that were expensive to make. It is not safe for
// concurrent use.
type cache[T any] struct {
	keys   []string
	values map[string]T
}

const maxCached = 16

func (c *cache[T]) get(key string) (T, bool) {
	v, ok := c.values[key]
	return v, ok
}

func (c *cache[T]) put(key string, v T) {
	if c.values == nil {
		c.values = map[string]T{}
	}
	if _, ok := c.values[key]; !ok {
		c.keys = append(c.keys, key)
	}
	c.values[key] = v
	if len(c.keys) > maxCached {
		delete(c.values, c.keys[0])
		c.keys = c.keys[1:]
	}
}
