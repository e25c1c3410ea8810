package web

import (
	"cmp"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/report"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

// runView is the page of one run.
type runView struct {
	Title, ID, Status, Recipe, About string
	Started                          time.Time
	Seconds                          float64
	Live, Paused                     bool
	Control                          controlView // of one that goes on
	Error                            string
	Graph                            template.HTML
	Stages                           []stageView
	Warnings                         []pages.Fact
	Cost                             runrecord.Cost
	Exported                         bool          // a page of a copy, which has no server
	Summary                          template.HTML // of a copy; else the page loads it
}

// stageView is one stage of it.
type stageView struct {
	Name, Type, State, Why string
	Anchor                 string
	Seconds                float64
	In                     int64
	Done, Total            int64 // of its progress; Total 0 means unknown
	Outputs                []outputView
}

// outputView is one output of a stage.
type outputView struct {
	Port, Record string
	Rows, Bytes  int64
	Folder       bool
	Link         string
	Saved        string
}

func (s *Server) runView(run *runrecord.Run) runView {
	v := runView{
		Title: cmp.Or(run.Resolved.Name, run.Recipe, run.ID), ID: run.ID, Status: run.Status, Recipe: run.Recipe, About: run.Resolved.Description,
		Started: run.Started, Seconds: run.Seconds, Live: run.Live(), Paused: run.Paused, Error: run.Error, Cost: run.Cost(),
	}
	if v.Live {
		v.Control = s.controlView(run)
	}
	warn := func(stage string, list []runrecord.Warning) {
		for _, w := range list {
			if w.Count > 1 {
				w.Message += fmt.Sprintf(" (%d times)", w.Count)
			}
			v.Warnings = append(v.Warnings, pages.Fact{Name: stage, Value: w.Message})
		}
	}
	warn("run", run.Warnings)
	anchors := map[string]string{}
	for i, st := range run.Stages {
		n := stageView{Name: st.Name, Type: st.Type, State: string(st.State), Why: why(st), Anchor: "stage-" + strconv.Itoa(i+1), Seconds: st.Seconds, In: st.RowsIn()}
		anchors[st.Name] = "#" + n.Anchor
		if st.State == runrecord.Running {
			n.Seconds = math.Floor(time.Since(st.Started).Seconds()) // or every look would be news
		}
		if p := st.Progress; p != nil {
			n.Done, n.Total = p.Done, p.Total
		}
		for _, o := range st.Outputs {
			n.Outputs = append(n.Outputs, outputView{Port: o.Port, Record: o.Record, Rows: o.Rows, Bytes: o.Bytes, Folder: o.Kind == store.KindDir, Link: outputLink(run.ID, o), Saved: o.Saved})
		}
		v.Stages = append(v.Stages, n)
		warn(st.Name, st.Warnings)
	}
	graph, err := pages.Graph(run, func(name string) string { return anchors[name] })
	if err == nil { // of a graph that is too large for a picture the table tells all
		v.Graph = graph
	}
	return v
}

// outputLink is the page that shows an output.
func outputLink(run string, o runrecord.Output) string {
	kind := "records"
	if o.Kind == store.KindDir {
		kind = "files"
	}
	return "/runs/" + run + "/" + kind + "/" + url.PathEscape(o.Stage) + "/" + url.PathEscape(o.Port)
}

func why(s *runrecord.Stage) string {
	if s.State == runrecord.Failed {
		return s.Error
	}
	p := s.Progress
	if p == nil {
		return s.Reason
	}
	parts := []string{pages.Count(p.Done)}
	if p.Total > 0 {
		parts[0] += " of " + pages.Count(p.Total)
	}
	parts[0] += " " + p.Unit
	if len(p.Values) > 0 {
		parts = append(parts, view.Values(p.Values))
	}
	return strings.Join(parts, ", ")
}

func (s *Server) runPage(w http.ResponseWriter, r *http.Request) error {
	run, err := s.run(r)
	if err != nil {
		return err
	}
	return s.show(w, "run", s.runView(run))
}

func (s *Server) runLive(w http.ResponseWriter, r *http.Request) error {
	run, err := s.run(r)
	if err != nil {
		return err
	}
	return s.live(w, r, runEvery, func() (template.HTML, bool, error) {
		if _, err := run.Refresh(); err != nil {
			return "", false, err
		}
		html, err := s.render("runstate", s.runView(run))
		return html, !run.Live(), err
	})
}

// runSummary is what the report says of a run beyond its stages. It reads the outputs
// from end to end, so that the page of the run comes first and takes it in later.
func (s *Server) runSummary(w http.ResponseWriter, r *http.Request) error {
	run, err := s.run(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	html, ok := s.reports.get(run.ID)
	s.mu.Unlock()
	if !ok {
		if html, err = s.render("summary", report.New(run)); err != nil {
			return err
		}
		if !run.Live() {
			s.mu.Lock()
			s.reports.put(run.ID, html)
			s.mu.Unlock()
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(html))
	return err
}

// fileList is the page of an output that is a folder.
type fileList struct {
	Title, Run, Label, Base string
	Files                   []fileView
	More                    int
}

type fileView struct {
	Name  string
	Size  int64
	Link  string
	Image bool
}

const maxFiles = 500

// files lists a folder, or sends one file of it. Pictures are shown, all else is text or
// is saved; nothing in a file is run.
func (s *Server) files(w http.ResponseWriter, r *http.Request) error {
	run, o, err := s.output(r, true)
	if err != nil {
		return err
	}
	dir, err := run.Path(o)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if name := r.PathValue("file"); name != "" {
		return sendFile(w, r, root, name)
	}
	l := fileList{Title: o.Label(), Run: run.ID, Label: o.Label(), Base: outputLink(run.ID, o)}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if len(l.Files) >= maxFiles {
			l.More++
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		l.Files = append(l.Files, fileView{Name: name, Size: info.Size(), Link: l.Base + "/" + (&url.URL{Path: name}).EscapedPath(), Image: pictures[path.Ext(name)] != ""})
		return nil
	})
	if err != nil {
		return err
	}
	for i, f := range l.Files { // of a picture in two formats the lines are shown
		svg := strings.TrimSuffix(f.Name, ".png") + ".svg"
		if slices.ContainsFunc(l.Files, func(g fileView) bool { return g.Name == svg && svg != f.Name }) {
			l.Files[i].Image = false
		}
	}
	return s.show(w, "files", l)
}

// pictures are the files that a page shows.
var pictures = map[string]string{".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}

func sendFile(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return notFound{"no file " + text.OneLine(name)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return notFound{"no file " + text.OneLine(name)}
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	kind := pictures[path.Ext(name)]
	if kind == "" {
		kind = "application/octet-stream"
		switch path.Ext(name) {
		case ".json", ".jsonl", ".md", ".txt", ".csv", ".log", ".yaml":
			kind = "text/plain; charset=utf-8"
		}
	}
	h.Set("Content-Type", kind)
	if kind == "application/octet-stream" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	}
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}
