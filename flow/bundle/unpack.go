package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/lock"
)

// ReadManifest reads what a bundle says about itself.
func ReadManifest(r io.Reader) (*Manifest, error) {
	a, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	defer a.close()
	return a.m, nil
}

// Unpack writes the files of a bundle below dir, which must be empty or not there
// yet, and checks each one. It writes nothing outside dir. After an error nothing
// of the bundle is left.
func Unpack(ctx context.Context, r io.Reader, dir string) (m *Manifest, err error) {
	a, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	defer a.close()
	made, err := emptyDir(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, takeBack(root, dir, made))
		}
		err = errors.Join(err, root.Close())
	}()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := a.next()
		if errors.Is(err, io.EOF) {
			return a.m, nil
		}
		if err == nil {
			err = a.unpack(root, e)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (a *archive) unpack(root *os.Root, e Entry) error {
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(e.Path)), 0o755); err != nil {
		return fmt.Errorf("unpacking %s: %w", e.Path, err)
	}
	f, err := root.OpenFile(filepath.FromSlash(e.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", e.Path, err)
	}
	return errors.Join(a.copyTo(f, e), f.Close())
}

// emptyDir makes dir, or sees that it is empty.
func emptyDir(dir string) (made bool, err error) {
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, os.MkdirAll(dir, 0o755)
	case err != nil:
		return false, fmt.Errorf("unpacking: %w", err)
	case len(names) > 0:
		return false, fmt.Errorf("%s is not empty: give a folder that is, or one that does not exist yet", dir)
	}
	return false, nil
}

// takeBack removes what was unpacked into a folder that was empty.
func takeBack(root *os.Root, dir string, made bool) error {
	if made {
		return os.RemoveAll(dir)
	}
	var errs []error
	for _, name := range []string{recipeDir, cacheDir, blobsDir, actionsDir, paramsName, answersName, lock.FileName} {
		errs = append(errs, root.RemoveAll(name))
	}
	return errors.Join(errs...)
}

// Walk writes each entry to what to gives for it, in the bundle's order, and checks it.
func Walk(ctx context.Context, r io.Reader, to func(Entry) io.Writer) (*Manifest, error) {
	a, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	defer a.close()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := a.next()
		if errors.Is(err, io.EOF) {
			return a.m, nil
		}
		if err == nil {
			err = a.copyTo(to(e), e)
		}
		if err != nil {
			return nil, err
		}
	}
}
