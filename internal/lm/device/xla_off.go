//go:build !cgo || !(linux || darwin)

package device

import "errors"

// HasXLA tells whether the XLA bindings, which need cgo, are compiled in.
const HasXLA = false

var errNoXLA = errors.New("this distillflow was built without cgo, which XLA needs: build it with a C compiler and CGO_ENABLED=1, or use device cpu")

func openXLACPU(string) (*Device, error) { return nil, errNoXLA }
func openCUDA(string) (*Device, error)   { return nil, errNoXLA }
