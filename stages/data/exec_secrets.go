package data

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// secrets are the keys that pass_env gives the command.
func (r *execRun) secrets() *secret.Known {
	var list []string
	for _, name := range r.cfg.PassEnv {
		list = append(list, name+"="+r.env.Getenv(name))
	}
	return secret.FromEnv(list)
}

// hideSecrets takes keys out of what the command printed, and refuses results that hold one:
// both would stay in the store, and results get into bundles.
func (r *execRun) hideSecrets() error {
	known := r.secrets()
	if known.Empty() {
		return nil
	}
	name, err := known.InFile(r.log)
	if err == nil && name != "" {
		err = hideIn(r.log, known)
	}
	if err != nil {
		return fmt.Errorf("looking for keys in what %s printed: %w", r.cfg.Command[0], err)
	}
	for _, root := range []string{r.rowsFile, r.outDir} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			name, err := known.InFile(path)
			if err == nil && name != "" {
				err = fmt.Errorf("%s wrote the value of %s into its results, %s, which were thrown away: results stay in the store and get into bundles", r.cfg.Command[0], name, filepath.Base(path))
				err = errors.Join(err, os.Remove(path))
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func hideIn(path string, known *secret.Known) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return atomicfile.Write(path, 0o644, atomicfile.Relaxed, func(w io.Writer) error {
		for b := bufio.NewReader(f); ; {
			line, err := b.ReadString('\n')
			if _, werr := io.WriteString(w, known.Hide(line)); werr != nil {
				return werr
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}
