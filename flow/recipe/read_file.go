package recipe

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// readLimited reads at most one byte more than the limit, which shows that a file
// is too large.
func readLimited(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if limit == 0 {
		limit = DefaultMaxBytes
	}
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}

// checkFile looks at a file that a recipe in dir names as ref, which resolves to
// path, before it is opened. It refuses anything but a regular file (a pipe would
// wait for ever), and a symbolic link that leads out of the folder in which ref
// starts: dir, or the folder above it that the ../ of ref reach. What belongs to
// a recipe is then visible from the text of the recipe. msg is empty when all is
// well or when opening the file will tell what is wrong.
func checkFile(dir, ref, path string) (msg, help string) {
	info, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	if !info.Mode().IsRegular() {
		return fmt.Sprintf("%s is not a regular file", path), "name a recipe, which is a YAML file"
	}
	if filepath.IsAbs(ref) {
		return "", ""
	}
	tree := dir
	for rest := filepath.ToSlash(filepath.Clean(ref)); strings.HasPrefix(rest, "../"); rest = rest[len("../"):] {
		tree = filepath.Join(tree, "..")
	}
	real, err1 := filepath.EvalSymlinks(path)
	root, err2 := filepath.EvalSymlinks(tree)
	if err1 != nil || err2 != nil {
		return "", ""
	}
	real, err1 = filepath.Abs(real)
	root, err2 = filepath.Abs(root)
	if err1 != nil || err2 != nil {
		return "", ""
	}
	if rel, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(rel) {
		return "", ""
	}
	return fmt.Sprintf("%s is a symbolic link that leads out of %s, to %s", path, root, real),
		"write the path of the file itself, or put a copy here: a link would hide what the recipe is made of"
}
