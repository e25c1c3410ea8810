//go:build !linux

package main

import "errors"

func deny(...string) error { return errors.ErrUnsupported }
