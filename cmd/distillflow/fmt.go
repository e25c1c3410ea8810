package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipefmt"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) fmtCmd() *cobra.Command {
	var check, write bool
	c := &cobra.Command{
		Use:   "fmt RECIPE...",
		Short: "Format recipes",
		Long: `fmt indents recipes by two spaces a level and drops spare blanks. Comments,
anchors, quotes, { } and the meaning stay as they are.

fmt prints the result. -w writes it back instead; --check only lists the files
that would change. RECIPE may be - for standard input.

Exit status: 0 done, 1 --check found a file to change, 2 a file is not YAML.`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			if check && write {
				return usageError{errors.New("--check and -w: give only one of them")}
			}
			var failed error
			changed := 0
			for _, path := range pos {
				differs, err := a.format(path, check, write)
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s: %w", path, err))
				}
				if differs {
					changed++
				}
			}
			switch {
			case failed != nil:
				return usageError{failed}
			case check && changed > 0:
				return fmt.Errorf("%s to format; 'distillflow fmt -w' does it", text.Plural(changed, "file"))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; list the files that would change")
	c.Flags().BoolVarP(&write, "write", "w", false, "write the files back")
	return c
}

// format handles one file and reports whether its layout was another.
func (a app) format(path string, check, write bool) (differs bool, err error) {
	src, err := a.readRecipe(path)
	if err != nil {
		return false, err
	}
	out, err := recipefmt.Format(src)
	if err != nil {
		return false, err
	}
	differs = !bytes.Equal(src, out)
	switch {
	case check:
		if differs {
			fmt.Fprintln(a.out, path)
		}
	case !write || path == "-":
		_, err = a.out.Write(out)
	case differs:
		err = replace(path, out)
	}
	return differs, err
}

func (a app) readRecipe(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.in)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, paths.Cause(err)
	}
	return b, nil
}

// replace writes a file's new content by rename, so that a full disk does not
// cost the old. A link keeps pointing where it does.
func replace(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, info.Mode().Perm(), atomicfile.Durable, content)
}
