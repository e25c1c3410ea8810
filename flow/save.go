package flow

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// Layout is how save: writes rows of one record type for people and other
// tools.
type Layout struct {
	// Version goes up when Write gives other bytes for the same rows: files of
	// an older version are then written anew.
	Version int
	// Suffix of the file, which is called STAGE.SUFFIX.
	Suffix func(port string, isDefault bool) string
	// Write converts the JSONL rows of a port.
	Write func(w io.Writer, port string, rows io.Reader) error
}

// plainLayout keeps the rows as they are.
var plainLayout = Layout{
	Suffix: func(port string, _ bool) string { return port + ".jsonl" },
	Write: func(w io.Writer, _ string, rows io.Reader) error {
		_, err := io.Copy(w, rows)
		return err
	},
}

// saver materialises a stage's outputs at its save: target. A folder target (see
// [graph.Node.SavesToFolder]) gets every output as STAGE.SUFFIX; any other target
// is the file for the default output. Files are replaced one by one and
// atomically, folders as a whole; nothing else in the target is touched. A file
// that is right already keeps its times; one that somebody edited or deleted is
// written again, because a target belongs to its stage.
func (e *Engine) saver(st *store.Store) exec.Saver {
	return func(n *graph.Node, outputs map[string]store.Output) (map[string]string, error) {
		target, folder := n.Stage.SavePath(), n.SavesToFolder()
		places := map[string]string{}
		for i, p := range n.Type.Outputs {
			o, ok := outputs[p.Name]
			if !ok || !folder && i > 0 {
				continue
			}
			l, ok := e.Layouts[p.Record]
			if !ok || p.Kind != stage.RowsPort {
				l = plainLayout
			}
			place := target
			if folder {
				suffix := p.Name
				if p.Kind == stage.RowsPort {
					suffix = l.Suffix(p.Name, i == 0)
				}
				place = filepath.Join(target, fileName.Replace(n.Name)+"."+suffix)
			}
			if err := saveOutput(st, l, p, o, place); err != nil {
				return places, fmt.Errorf("output %s: %w", p.Name, err)
			}
			places[p.Name] = place
		}
		return places, nil
	}
}

// fileName makes a stage's name usable as a file name: the name of a matrix leg
// has its values in it, which may be any text.
var fileName = strings.NewReplacer("/", "%2F", "\\", "%5C", ":", "%3A", "\x00", "%00", "\n", "%0A")

func saveOutput(st *store.Store, l Layout, p stage.Port, o store.Output, place string) error {
	if p.Kind == stage.DirPort {
		if holdsTree(st, place, o.Digest) {
			return nil
		}
		src, err := st.VerifiedTree(o.Digest)
		if err != nil {
			return err
		}
		return replaceFolder(src, place)
	}
	want := receipt{Output: o.Digest, Record: p.Record, Port: p.Name, Layout: l.Version}
	if holdsFile(st, place, want, o) {
		return nil
	}
	src, err := st.OpenBlob(o.Digest)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	h := sha256.New()
	err = atomicfile.Write(place, 0o644, atomicfile.Relaxed, func(w io.Writer) error {
		return l.Write(io.MultiWriter(w, h), p.Name, src)
	})
	if err != nil {
		return err
	}
	if want.File, err = store.ParseDigest(fmt.Sprintf("sha256:%x", h.Sum(nil))); err != nil {
		return err
	}
	want.keep(st, place)
	return nil
}

// replaceFolder makes dst a copy of src. The copy is complete before it takes
// the place of what was there, so that no file of an older result stays behind.
func replaceFolder(src, dst string) error {
	parent := filepath.Dir(dst)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".distillflow-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fresh := filepath.Join(tmp, "new")
	if err := copyTree(src, fresh); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := os.Rename(dst, filepath.Join(tmp, fmt.Sprint("old", i))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Another run may have put its own there in between.
		if err := os.Rename(fresh, dst); !errors.Is(err, fs.ErrExist) || i == 1000 {
			return err
		}
	}
}

func copyTree(src, dst string) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case d.Type()&fs.ModeSymlink != 0: // the store keeps only those that stay inside
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, to)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return atomicfile.Write(to, 0o644|info.Mode()&0o111, atomicfile.Relaxed, func(w io.Writer) error {
			_, err := io.Copy(w, f)
			return err
		})
	})
}
