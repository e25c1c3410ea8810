// Package diag describes problems found in source text: where they are, what
// they are, and what to do about them.
//
// A [Diagnostic] is a value, not an error type: packages that read recipes
// append to a [List] and go on, so that a user sees every problem of a file at
// once. [List] implements error for the places that need one. The package
// imports nothing else of this module, so every layer may report with it.
package diag
