package trust

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/paths"
)

// File is what a user has allowed: lines of text, of which each allows one thing.
//
//	folder /data/experiments      all that recipes in this folder ask for
//	host llm.lab.example:8000     keys may go to this server; without a port, to all of the host
//	exec 8f3c...                  this command in this recipe
//	save 77ab...                  this target of this recipe
//
// The first word says what a line allows and the second what exactly; the rest is for
// people, and so are lines that begin with #. The nil *File allows nothing.
type File struct {
	path  string
	lines [][2]string
}

// maxFile bounds what is read of the file.
const maxFile = 16 << 20

// Path is the file of a user, in [paths.Settings]; "" where there is no such folder.
func Path(getenv func(string) string) string {
	dir := paths.Settings(getenv)
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "trust")
}

// Read reads the file of a user; one that is not there allows nothing. A file that everybody
// may write is an error.
func Read(path string) (*File, error) {
	f := &File{path: path}
	if path == "" {
		return f, nil
	}
	r, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what you allow: %w", err)
	}
	defer r.Close()
	info, err := r.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading what you allow: %w", err)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("%s: everybody may write this file, which says what you allow: chmod o-w it", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has more than %d bytes: delete what you do not need", path, maxFile)
	}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxFile)
	for s.Scan() {
		if l, ok := parseLine(s.Text()); ok {
			f.lines = append(f.lines, l)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// parseLine reads a line; ok is false for one that allows nothing.
func parseLine(text string) (l [2]string, ok bool) {
	w := strings.Fields(text)
	if len(w) < 2 || strings.HasPrefix(w[0], "#") {
		return l, false
	}
	l = [2]string{w[0], w[1]}
	if w[0] == "folder" { // whose name may hold spaces
		l[1] = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "folder"))
	}
	return l, true
}

func (f *File) allows(kind, what string) bool {
	return f != nil && slices.Contains(f.lines, [2]string{kind, what})
}

func (f *File) each(kind string) []string {
	var out []string
	if f != nil {
		for _, l := range f.lines {
			if l[0] == kind {
				out = append(out, l[1])
			}
		}
	}
	return out
}

// Remember adds lines, for later runs. It is an error, and nothing is added, if one of them
// would be read as another: a recipe chooses the names of its servers and folders.
func (f *File) Remember(lines []Line) (err error) {
	if f == nil || f.path == "" {
		return errors.New("there is no folder for settings: set HOME")
	}
	var b strings.Builder
	var added [][2]string
	for _, l := range lines {
		entry := [2]string{l.Kind, l.What}
		if f.allows(l.Kind, l.What) || slices.Contains(added, entry) {
			continue
		}
		text := strings.TrimSpace(strings.Join([]string{l.Kind, l.What, l.About}, " "))
		if got, ok := parseLine(text); !ok || got != entry || strings.ContainsAny(text, "\n\r") {
			return fmt.Errorf("%s %q cannot stand on a line of %s", l.Kind, l.What, f.path)
		}
		added = append(added, entry)
		b.WriteString(text + "\n")
	}
	if b.Len() == 0 {
		return nil
	}
	f.lines = append(f.lines, added...)
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	w, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	text := b.String()
	if size, err := w.Seek(0, io.SeekEnd); err == nil && size > 0 {
		var last [1]byte
		if _, err := w.ReadAt(last[:], size-1); err == nil && last[0] != '\n' { // written by hand
			text = "\n" + text
		}
	}
	_, err = w.WriteString(text) // in one write: other processes append too
	return errors.Join(err, w.Close())
}

// Line is one line of a [File].
type Line struct{ Kind, What, About string }
