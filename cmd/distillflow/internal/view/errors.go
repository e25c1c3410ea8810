package view

import (
	"errors"

	"github.com/hashicorp/go-multierror"
)

// Errors takes joined errors apart, to be shown one by one. An error that adds a
// text of its own stays whole.
func Errors(err error) []error {
	var parts []error
	if many, ok := err.(*multierror.Error); ok {
		parts = many.Errors
	} else if joined, ok := err.(interface{ Unwrap() []error }); ok && errors.Join(joined.Unwrap()...).Error() == err.Error() {
		parts = joined.Unwrap()
	} else {
		return []error{err}
	}
	var all []error
	for _, p := range parts {
		all = append(all, Errors(p)...)
	}
	return all
}
