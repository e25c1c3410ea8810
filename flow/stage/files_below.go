package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// FilesBelow lists every file at or below the paths that a config's field holds, as
// [External]: what a program reads. Errors are [FieldError].
func FilesBelow(field string, roots []Path) ([]External, error) {
	var list []External
	for i, root := range roots {
		at := field + "." + strconv.Itoa(i)
		err := filepath.WalkDir(string(root), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(path) // a link stands for what it points to
			if err != nil {
				return err
			}
			switch {
			case info.IsDir() && !d.IsDir() && path != string(root):
				return fmt.Errorf("%s is a link to a folder, which cannot be followed", path)
			case info.IsDir():
				return nil
			case !info.Mode().IsRegular():
				return fmt.Errorf("%s is neither a file nor a folder", path)
			}
			rel, err := filepath.Rel(string(root), path)
			if err != nil {
				return err
			}
			// The root's own name is not part of it: where it is and what it is called
			// reaches the program only through the command line.
			list = append(list, External{Name: strconv.Itoa(i) + "/" + filepath.ToSlash(rel), Path: path})
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, Invalid(at, "%s does not exist", root)
		} else if err != nil {
			return nil, Invalid(at, "cannot read %s: %v", root, err)
		}
	}
	return list, nil
}
