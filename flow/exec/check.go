package exec

import "context"

// Check is one finding about an executor.
type Check struct {
	What  string
	OK    bool
	Found string // what is there
	Do    string // what to do about it; "" for nothing
}

// Checker is a runner that can say what works. It leaves nothing in dir, a folder where
// its tasks could be. An error means that nothing could be looked at.
type Checker interface {
	Check(ctx context.Context, dir string, tell func(string)) ([]Check, error)
}
