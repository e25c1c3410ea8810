// Package report writes report.html: one run on one page that needs no other file and no
// network.
//
//	place, err := report.Write(run, "")   // beside the saved outputs, and in the store
//
// [New] gathers what the page shows. It streams the outputs of the run, so that memory
// does not grow with them, and takes ten paths of each verdict at random, the same ones
// each time. The page has no script, and its policy forbids any; what models wrote is
// escaped besides.
package report

import (
	"bufio"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/base/paths"
)

//go:embed page.tmpl
var files embed.FS

// mark begins every report, so that nothing else is ever overwritten by one.
const mark = "<!DOCTYPE html>\n<!-- A report of distillflow. -->\n"

// Name is the file's name where no other is given.
const Name = "report.html"

// Write writes the report of a run into the store and, with its figures in a folder
// beside it, to file. An empty file means [Name] beside the run's saved outputs; a run
// that saved nothing has its report in the store alone. place is where people find it:
// the last of both that could be written, or "".
func Write(r *runrecord.Run, file string) (place string, err error) {
	if file == "" {
		if dir := savedFolder(r); dir != "" {
			file = filepath.Join(dir, Name)
		}
	}
	var p *Page
	var page bytes.Buffer
	// No picture and no table is worth a run that crashes at its end.
	err = parallel.Call(func() error {
		p = New(r)
		return p.render(&page)
	})
	if err != nil {
		return "", err
	}
	inStore := r.ReportPath()
	if err = atomicfile.WriteBytes(inStore, 0o644, atomicfile.Relaxed, page.Bytes()); err == nil {
		place = inStore
		_ = p.facts.write() // without them the next page takes longer
	}
	if file == "" {
		return place, err
	}
	err2 := parallel.Call(func() error { return writeBeside(p, file, page.Bytes()) })
	if err2 == nil {
		place = file
	}
	return place, errors.Join(err, err2)
}

func writeBeside(p *Page, file string, page []byte) error {
	switch ok, err := replaceable(file); {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%s is there and is no report of distillflow; move it, or name another file with --report", file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(file, 0o644, atomicfile.Relaxed, page); err != nil {
		return err
	}
	return p.writeFigures(FiguresFolder(file))
}

// replaceable reports whether there is no such file yet, or an older report.
func replaceable(file string) (bool, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	head, err := bufio.NewReader(f).Peek(len(mark))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("%s: %w", file, paths.Cause(err))
	}
	return string(head) == mark, nil
}

// FiguresFolder is where the figures beside a report are.
func FiguresFolder(file string) string {
	return strings.TrimSuffix(file, filepath.Ext(file)) + "_files"
}

// writeFigures puts every figure into a folder as SVG and PNG, in place of those of an
// earlier run.
func (p *Page) writeFigures(dir string) error {
	if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is no folder: the figures of the report are left out, because a link may lead anywhere", dir)
	}
	keep := map[string]bool{}
	for _, f := range p.Figures {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		png, err := f.drawing.PNG()
		if err != nil {
			return err
		}
		for name, data := range map[string][]byte{f.File + ".svg": f.svg, f.File + ".png": png} {
			keep[name] = true
			if err := atomicfile.WriteBytes(filepath.Join(dir, name), 0o644, atomicfile.Relaxed, data); err != nil {
				return err
			}
		}
	}
	old, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range old {
		kind, _, _ := strings.Cut(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), "-")
		if !keep[e.Name()] && slices.Contains(figureKinds, kind) && slices.Contains([]string{".svg", ".png"}, filepath.Ext(e.Name())) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// savedFolder is the folder that holds all saved outputs: their folder, or if there are
// several the one above them; "" without any. Where those above hold the recipe too, it
// is the one with the most outputs.
func savedFolder(r *runrecord.Run) string {
	count := map[string]int{}
	most, common := "", ""
	for _, s := range r.Stages {
		for _, o := range s.Outputs {
			if o.Saved == "" {
				continue
			}
			dir := filepath.Dir(o.Saved)
			if len(count) == 0 {
				most, common = dir, dir
			}
			if count[dir]++; count[dir] > count[most] {
				most = dir
			}
			for common != dir && !strings.HasPrefix(dir, strings.TrimSuffix(common, string(filepath.Separator))+string(filepath.Separator)) && common != filepath.Dir(common) {
				common = filepath.Dir(common)
			}
		}
	}
	if len(count) == 0 {
		return ""
	}
	recipe := filepath.Dir(r.RecipeID)
	if rel, err := filepath.Rel(common, recipe); err == nil && common != most && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return most
	}
	return common
}

func (p *Page) render(w io.Writer) error {
	t, err := pages.Templates().ParseFS(files, "page.tmpl")
	if err != nil {
		return fmt.Errorf("the page's template: %w", err)
	}
	if _, err := io.WriteString(w, mark); err != nil {
		return err
	}
	if err := t.ExecuteTemplate(w, "page.tmpl", struct {
		*Page
		CSS template.CSS
	}{p, pages.CSS()}); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	return nil
}
