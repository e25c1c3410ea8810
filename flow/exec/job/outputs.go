package job

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotThere says that an output does not read as the worker wrote it. On a network
// file system that may pass.
var ErrNotThere = errors.New("does not (yet) read as the worker wrote it")

// list gives the files of an output, sorted by name.
func list(root string) ([]OutputFile, error) {
	var files []OutputFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if name == "." {
			name = ""
		}
		files = append(files, OutputFile{Name: filepath.ToSlash(name)})
		return nil
	})
	return files, err
}

// describe is list with sizes and digests.
func describe(root string) ([]OutputFile, error) {
	files, err := list(root)
	for i := range files {
		if err == nil {
			err = files[i].read(root)
		}
	}
	return files, err
}

// read sets the file's size and digest.
func (f *OutputFile) read(root string) error {
	path := filepath.Join(root, filepath.FromSlash(f.Name))
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	f.Size, err = io.Copy(h, r)
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return err
}

// take checks an output and moves it to where it is wanted.
func take(from, to string, want []OutputFile) error {
	for _, f := range want {
		if f.Name != "" && !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return fmt.Errorf("%q is not the name of a file in a folder", f.Name)
		}
		got := OutputFile{Name: f.Name}
		if err := got.read(from); err != nil {
			return fmt.Errorf("%w: %w", ErrNotThere, err)
		}
		if got != f {
			return fmt.Errorf("%s: %w", filepath.Join(from, f.Name), ErrNotThere)
		}
	}
	// Whoever publishes a folder lists it. The listing must be as new as the files.
	got, err := list(from)
	if err != nil || len(got) != len(want) {
		return fmt.Errorf("%s: %w", from, errors.Join(ErrNotThere, err))
	}
	return os.Rename(from, to)
}
