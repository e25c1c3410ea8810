package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/report"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

// exportRecords is how many records of each output a copy holds.
const exportRecords = 100

// exportView is a page of records in a copy.
type exportView struct {
	Title, RunTitle string
	Output          runrecord.Output
	Records         []*recordView
	Error           string
}

// ErrNotEmpty is a folder for a copy that has files already.
var ErrNotEmpty = errors.New("is not empty")

// Export writes a run as static pages into a new or empty folder: the run, its figures and
// tables, and the first records of each output. index.html comes first. The error
// wraps [ErrNotEmpty] if the folder has files.
func (s *Server) Export(ctx context.Context, run *runrecord.Run, dir string) error {
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("%s %w; name a new folder", dir, ErrNotEmpty)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	static, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "static"), static); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "static", "base.css"), []byte(pages.CSS()), 0o644); err != nil {
		return err
	}
	v := s.runView(run)
	v.Live, v.Exported = false, true
	noted, damaged := s.noted()
	if damaged != nil { // the other notes are good all the same
		v.Warnings = append(v.Warnings, pages.Fact{Name: "notes", Value: damaged.Error()})
	}
	n := 0
	for i, st := range run.Stages {
		for j, o := range st.Outputs {
			link := &v.Stages[i].Outputs[j].Link
			*link = ""
			if o.Kind == store.KindDir {
				continue
			}
			n++
			*link = "records-" + strconv.Itoa(n) + ".html"
			if err := s.exportPage(dir, *link, "exported", s.exportView(ctx, run, o, noted)); err != nil {
				return err
			}
		}
	}
	if v.Summary, err = s.render("summary", report.New(run)); err != nil {
		return err
	}
	return s.exportPage(dir, "index.html", "run", v)
}

func (s *Server) exportView(ctx context.Context, run *runrecord.Run, o runrecord.Output, noted noted) exportView {
	e := exportView{Title: o.Label(), RunTitle: run.Resolved.Name, Output: o}
	f := finder{run: run, out: o}
	err := f.each(ctx, place{}, func(rec record) bool {
		v := &recordView{record: rec}
		if n := noted(rec); n.Mark != "" {
			v.Notice = text.OneLine("Note: " + n.Mark + " " + n.Comment)
		}
		e.Records = append(e.Records, v)
		return len(e.Records) < exportRecords
	})
	if err != nil { // the copy is good all the same
		e.Error = err.Error()
	}
	return e
}

// exportPage writes one page; what every page loads is beside it.
func (s *Server) exportPage(dir, name, tmpl string, data any) error {
	html, err := s.render(tmpl, data)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(html), `="/static/`, `="static/`)), 0o644)
}
