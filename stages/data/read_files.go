package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/paths"
)

// file is one file to read: JSONL, JSON, CSV, TSV or Parquet.
type file struct {
	name string // relative to the root, with slashes; "" when the root is the file
	path string
	// remote tells where a file of the Hub comes from.
	remote stage.Remote
}

// ownSuffixes are the names under which results are saved beside data.
var ownSuffixes = []string{".enriched.jsonl", ".correct.jsonl", ".quarantine.jsonl", notesFile}

const (
	trainDir  = "train"
	extension = ".jsonl"
	globChars = "*?["
)

// listFiles lists the files that a root stands for, sorted by name. Errors are
// [stage.FieldError]s on root.
func listFiles(ctx context.Context, root string, includeTrain bool) ([]file, error) {
	if ref, ok := hubRoot(root); ok {
		return hubFiles(ctx, ref)
	}
	files, err := listLocal(root, includeTrain)
	if err != nil {
		return nil, err
	}
	return files, readable(files)
}

func listLocal(root string, includeTrain bool) ([]file, error) {
	info, err := os.Stat(root)
	switch {
	case err == nil && info.Mode().IsRegular():
		return []file{{path: root}}, nil
	case err == nil && !info.IsDir():
		return nil, stage.Invalid("root", "%s is neither a file nor a folder", root)
	case err == nil:
		return listMatches(root, includeTrain, []string{"**", "*" + extension}, []string{"**", "*" + extension + ".gz"}, []string{"**", "*" + extension + ".zst"})
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid):
		return nil, stage.Invalid("root", "cannot read %s: %v", root, err)
	}
	base, pattern := splitGlob(root)
	if len(pattern) == 0 {
		return nil, stage.Invalid("root", "%s does not exist: give a folder, a file or a glob of JSONL, or hf://owner/dataset#split", root)
	}
	for _, seg := range pattern {
		if _, err := filepath.Match(seg, ""); err != nil {
			return nil, stage.Invalid("root", "the glob %s is malformed at %q: close its bracket", root, seg)
		}
	}
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		return nil, stage.Invalid("root", "the glob %s matches nothing: there is no folder %s", root, base)
	}
	return listMatches(base, includeTrain, pattern)
}

// splitGlob cuts a pattern before its first segment with a wildcard; without
// one, the pattern is empty.
func splitGlob(root string) (base string, pattern []string) {
	segs := strings.Split(filepath.ToSlash(root), "/")
	i := slices.IndexFunc(segs, func(s string) bool { return strings.ContainsAny(s, globChars) })
	if i < 0 {
		return root, nil
	}
	base = strings.Join(segs[:i], "/")
	switch {
	case i == 0:
		base = "."
	case base == "":
		base = "/"
	}
	return filepath.FromSlash(base), segs[i:]
}

// listMatches lists the files below a folder that match one of the patterns.
func listMatches(base string, includeTrain bool, patterns ...[]string) ([]file, error) {
	// A root that is itself a link to a folder is followed: it was named.
	real, err := filepath.EvalSymlinks(base)
	if err != nil {
		return nil, stage.Invalid("root", "cannot read %s: %v", base, err)
	}
	depth := len(patterns[0])
	if slices.Contains(patterns[0], "**") {
		depth = -1
	}
	var files []file
	err = filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(real, p)
		if err != nil || rel == "." {
			return err
		}
		segs := strings.Split(filepath.ToSlash(rel), "/")
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && !slices.ContainsFunc(patterns[0], func(s string) bool { return strings.HasPrefix(s, ".") })
			if hidden || depth >= 0 && len(segs) >= depth {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.ContainsFunc(patterns, func(p []string) bool { return matchPath(p, segs, includeTrain) }) {
			return nil
		}
		if info, err := os.Stat(p); err != nil || !info.Mode().IsRegular() {
			return err
		}
		files = append(files, file{name: strings.Join(segs, "/"), path: filepath.Join(base, rel)})
		return nil
	})
	if err != nil {
		return nil, stage.Invalid("root", "listing %s: %v", base, err)
	}
	if len(files) == 0 {
		hint := "its *" + extension + " files are looked for, also with .gz and .zst"
		if !includeTrain {
			hint += "; folders called train are left out unless include_train is true"
		}
		return nil, stage.Invalid("root", "no data files below %s: %s", base, hint)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].name < files[j].name })
	seen := map[string]string{}
	for _, f := range files {
		plain := plainName(f.name)
		if other := seen[plain]; other != "" {
			return nil, stage.Invalid("root", "%s holds both %s and %s: remove one, or give a glob that matches one", base, other, f.name)
		}
		seen[plain] = f.name
	}
	return files, nil
}

// matchPath matches a file's path, segment by segment. Wildcards do not enter
// hidden and train folders and do not take our own result files; a segment that
// spells a name out is always obeyed.
//
// It compares from behind, so that a pattern of many ** takes no more time than its
// length times the path's.
func matchPath(pattern, segs []string, includeTrain bool) bool {
	barred := func(j int) bool {
		return strings.HasPrefix(segs[j], ".") || j+1 < len(segs) && segs[j] == trainDir && !includeTrain
	}
	fits := make([]bool, len(segs)+1) // fits[j]: what is behind in the pattern matches segs[j:]
	fits[len(segs)] = true
	for i := len(pattern) - 1; i >= 0; i-- {
		if pattern[i] == "**" {
			for j := len(segs) - 2; j >= 0; j-- {
				fits[j] = fits[j] || fits[j+1] && !barred(j)
			}
		} else {
			for j := range segs {
				fits[j] = fits[j+1] && matchSegment(pattern[i], segs[j], j+1 < len(segs), barred(j))
			}
		}
		fits[len(segs)] = false
	}
	return fits[0]
}

func matchSegment(pattern, seg string, isDir, barred bool) bool {
	if ok, err := filepath.Match(pattern, seg); !ok || err != nil {
		return false
	}
	if !strings.ContainsAny(pattern, globChars) {
		return true
	}
	if barred && !(seg[0] == '.' && pattern[0] == '.') {
		return false
	}
	for _, own := range ownSuffixes {
		if !isDir && strings.HasSuffix(plainName(seg), own) && !strings.HasSuffix(plainName(pattern), own) {
			return false
		}
	}
	return true
}

// tableExtensions are the files that a table field may name.
var tableExtensions = []string{".txt", ".csv", ".tsv", ".md"}

// maxTable bounds the bytes of such a file, which goes into prompts as it is.
const maxTable = 16 << 20

// tableRef reports whether a table field names a file instead of holding the
// table: one line without column bars that ends in a known extension.
func tableRef(table string) bool {
	return !strings.ContainsAny(table, "\n|") && slices.Contains(tableExtensions, strings.ToLower(filepath.Ext(strings.TrimSpace(table))))
}

// tablePath resolves a table reference against the folder of the rows' file. It
// must stay below it: a data set must not pull other files into prompts.
func tablePath(dir, ref string) (string, error) {
	ref = filepath.FromSlash(strings.TrimSpace(ref))
	if !filepath.IsLocal(ref) {
		return "", fmt.Errorf("table %q must name a file below the folder of its rows", ref)
	}
	return filepath.Join(dir, ref), nil
}

func readTable(dir, ref string) (string, error) {
	path, err := tablePath(dir, ref)
	if err != nil {
		return "", err
	}
	b, err := paths.ReadFile(path, maxTable)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("table %q: there is no such file beside the rows", ref)
	}
	if err != nil {
		return "", fmt.Errorf("table %q: %w", ref, paths.Cause(err))
	}
	b = bytes.ReplaceAll(bytes.TrimPrefix(b, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	return strings.TrimRight(string(b), "\n"), nil
}

// tableFiles lists the table files that rows refer to. Lines that are not rows
// are passed over: the stage itself reports them.
func tableFiles(ctx context.Context, files []file) ([]stage.External, error) {
	var ext []stage.External
	seen := map[string]bool{}
	for _, f := range files {
		if _, err := os.Stat(f.path); err != nil {
			return nil, stage.Invalid("root", "cannot read %s: %v", f.path, err)
		}
		// An error here is the stage's to report: it reads the same lines.
		_ = eachLineOf(ctx, f, func(_ place, line []byte) error {
			ref := gjson.GetBytes(line, "table").String()
			if !tableRef(ref) {
				return nil
			}
			path, err := tablePath(filepath.Dir(f.path), ref)
			if err != nil || seen[path] {
				return nil //nolint:nilerr // the stage reports it
			}
			seen[path] = true
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				name := filepath.ToSlash(filepath.Join(filepath.Dir(filepath.FromSlash(f.name)), strings.TrimSpace(ref)))
				ext = append(ext, stage.External{Name: name, Path: path})
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	sort.Slice(ext, func(i, j int) bool { return ext[i].Name < ext[j].Name })
	return ext, nil
}
