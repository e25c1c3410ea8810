package stage

import (
	"fmt"
	"os"
)

// Dir is an input port: a folder. It is read-only.
type Dir struct{ Path string }

func (Dir) port() Port { return Port{Kind: DirPort} }

func (Dir) open(path, _ string) any { return Dir{Path: path} }

// Given reports whether an optional input was connected.
func (d Dir) Given() bool { return d.Path != "" }

// OutDir is an output port: a folder that the stage fills. It exists and is
// empty when the stage starts.
type OutDir struct{ Path string }

func (*OutDir) port() Port { return Port{Kind: DirPort} }

func (d *OutDir) create(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("creating an output: %w", err)
	}
	d.Path = path
	return nil
}

func (d *OutDir) finish() (int64, error) { return 0, nil }
