package flow

import (
	"bufio"
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
)

// Layout is how save: writes rows of one record type for people and other
// tools.
type Layout struct {
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

// saver materialises a stage's outputs at its save: target. A target that ends
// in a slash, or is a folder, gets every output as STAGE.SUFFIX; any other
// target is the file for the default output. Files are replaced one by one and
// atomically; nothing else in the folder is touched.
func (e *Engine) saver(st *store.Store) exec.Saver {
	return func(n *graph.Node, outputs map[string]store.Output) (map[string]string, error) {
		target := n.Stage.SavePath()
		info, err := os.Stat(target)
		folder := strings.HasSuffix(target, "/") || err == nil && info.IsDir()
		places := map[string]string{}
		for i, p := range n.Type.Outputs {
			o, ok := outputs[p.Name]
			if !ok || !folder && i > 0 {
				continue
			}
			place, err := e.saveOutput(st, n, p, i == 0, o, target, folder)
			if err != nil {
				return places, fmt.Errorf("output %s: %w", p.Name, err)
			}
			places[p.Name] = place
		}
		return places, nil
	}
}

func (e *Engine) saveOutput(st *store.Store, n *graph.Node, p stage.Port, isDefault bool, o store.Output, target string, folder bool) (string, error) {
	if p.Kind == stage.DirPort {
		if folder {
			target = filepath.Join(target, n.Name+"."+p.Name)
		}
		src, err := st.MaterializeTree(o.Digest)
		if err != nil {
			return "", err
		}
		return target, copyTree(src, target)
	}
	l, ok := e.Layouts[p.Record]
	if !ok {
		l = plainLayout
	}
	if folder {
		target = filepath.Join(target, n.Name+"."+l.Suffix(p.Name, isDefault))
	}
	src, err := st.OpenBlob(o.Digest)
	if err != nil {
		return "", err
	}
	defer src.Close()
	return target, writeFile(target, func(w io.Writer) error { return l.Write(w, p.Name, src) })
}

// writeFile replaces a file atomically.
func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".distillflow-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already after the rename
	b := bufio.NewWriterSize(f, 1<<20)
	err = write(b)
	if err = errors.Join(err, b.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dst, rel), 0o755)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return writeFile(filepath.Join(dst, rel), func(w io.Writer) error {
			_, err := io.Copy(w, f)
			return err
		})
	})
}
