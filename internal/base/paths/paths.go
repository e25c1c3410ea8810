// Package paths shows file names, and errors about files, to people, and reads small files
// that others have named.
package paths

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Relative shortens a path that lies below the working directory.
func Relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// Cause is the reason in an error about a file, for messages that name the file
// themselves.
func Cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Settings is the folder of a user's settings, distillflow in $XDG_CONFIG_HOME or ~/.config,
// on Windows in %AppData%; "" where there is none.
func Settings(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	switch home := getenv("HOME"); {
	case filepath.IsAbs(dir):
	case runtime.GOOS == "windows":
		dir = getenv("AppData")
	case home != "":
		dir = filepath.Join(home, ".config")
	default:
		dir = ""
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "distillflow")
}

// ReadFile reads a whole file of at most so many bytes. It refuses what is no regular file: a
// device may have no end, and a pipe may never begin.
func ReadFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // to open a pipe would wait
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", most)}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}
