package stage

import (
	"errors"
	"io/fs"
	"os"
)

// Absent reports whether the file is not here yet, and its digest is known all the
// same.
func (e External) Absent() bool {
	if e.Remote.SHA256 == "" {
		return false
	}
	_, err := os.Stat(e.Path)
	return errors.Is(err, fs.ErrNotExist)
}
