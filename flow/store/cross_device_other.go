//go:build !unix

package store

import (
	"errors"
	"os"
)

// crossDevice has no portable error to look for here: any failed rename is
// worth the attempt to copy.
func crossDevice(err error) bool {
	var le *os.LinkError
	return errors.As(err, &le)
}
