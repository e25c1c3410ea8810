package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
)

// file is one file to read, JSONL or Parquet.
type file struct {
	name string // relative to the root, with slashes; "" when the root is the file
	path string
	// remote tells where a file of the Hub comes from.
	remote stage.Remote
}

// ownSuffixes are the names under which results are saved beside data.
var ownSuffixes = []string{".enriched.jsonl", ".correct.jsonl", ".quarantine.jsonl"}

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
	info, err := os.Stat(root)
	switch {
	case err == nil && !info.IsDir():
		return []file{{path: root}}, nil
	case err == nil:
		return listMatches(root, []string{"**", "*" + extension}, includeTrain)
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
	return listMatches(base, pattern, includeTrain)
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

func listMatches(base string, pattern []string, includeTrain bool) ([]file, error) {
	// A root that is itself a link to a folder is followed: it was named.
	real, err := filepath.EvalSymlinks(base)
	if err != nil {
		return nil, stage.Invalid("root", "cannot read %s: %v", base, err)
	}
	depth := len(pattern)
	if slices.Contains(pattern, "**") {
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
			hidden := strings.HasPrefix(d.Name(), ".") && !slices.ContainsFunc(pattern, func(s string) bool { return strings.HasPrefix(s, ".") })
			if hidden || depth >= 0 && len(segs) >= depth {
				return fs.SkipDir
			}
			return nil
		}
		if !matchPath(pattern, segs, includeTrain) {
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
		hint := "its *" + extension + " files are looked for"
		if !includeTrain {
			hint += "; folders called train are left out unless include_train is true"
		}
		return nil, stage.Invalid("root", "no data files below %s: %s", base, hint)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].name < files[j].name })
	return files, nil
}

// matchPath matches a file's path, segment by segment. Wildcards do not enter
// hidden and train folders and do not take our own result files; a segment that
// spells a name out is always obeyed.
func matchPath(pattern, segs []string, includeTrain bool) bool {
	if len(pattern) == 0 || len(segs) == 0 {
		return len(pattern) == len(segs)
	}
	isDir := len(segs) > 1
	barred := strings.HasPrefix(segs[0], ".") || isDir && segs[0] == trainDir && !includeTrain
	if pattern[0] == "**" {
		return matchPath(pattern[1:], segs, includeTrain) || isDir && !barred && matchPath(pattern, segs[1:], includeTrain)
	}
	if ok, err := filepath.Match(pattern[0], segs[0]); !ok || err != nil {
		return false
	}
	if strings.ContainsAny(pattern[0], globChars) {
		if barred && !(segs[0][0] == '.' && pattern[0][0] == '.') {
			return false
		}
		for _, own := range ownSuffixes {
			if !isDir && strings.HasSuffix(segs[0], own) && !strings.HasSuffix(pattern[0], own) {
				return false
			}
		}
	}
	return matchPath(pattern[1:], segs[1:], includeTrain)
}

// eachLine hands on the lines of files that are not blank, in order, until one of
// them gives an error.
func eachLine(ctx context.Context, files []file, each func(at place, line []byte) error) error {
	for i, f := range files {
		if err := eachLineOf(ctx, f, func(n int, line []byte) error { return each(place{i, n}, line) }); err != nil {
			return err
		}
	}
	return nil
}

func eachLineOf(ctx context.Context, f file, each func(number int, line []byte) error) error {
	if isParquet(f.path) {
		return eachParquetRow(ctx, f.path, each)
	}
	r, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("reading the data: %w", err)
	}
	defer r.Close()
	for line, err := range stage.Lines(r) {
		if err != nil {
			return fmt.Errorf("reading %s: %w", f.path, err)
		}
		if line.Number%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := each(line.Number, line.Text); err != nil {
			return err
		}
	}
	return nil
}

// tableExtensions are the files that a table field may name.
var tableExtensions = []string{".txt", ".csv", ".tsv", ".md"}

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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("table %q: there is no such file beside the rows", ref)
	}
	if err != nil {
		return "", fmt.Errorf("table %q: %w", ref, err)
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
		_ = eachLineOf(ctx, f, func(_ int, line []byte) error {
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

// countLimit is how many bytes an estimate reads at most: an estimate must be
// quick. Of larger data only an upper bound is told.
const countLimit = 64 << 20

// leastRow is fewer bytes than any row takes, its line end included.
const leastRow = len(`{"question":""}` + "\n")

// linesBelow bounds the rows of the files that a root names. strict says that a
// line that is no row stops the stage.
func linesBelow(ctx context.Context, root string, train, strict bool) (*stage.Range, error) {
	files, err := listFiles(ctx, root, train)
	if err != nil {
		return nil, err
	}
	var lines, size, most int64 // most: rows of Parquet files, whose footer tells
	counted := true
	for _, f := range files {
		info, err := os.Stat(f.path)
		if err != nil {
			return nil, err
		}
		if isParquet(f.path) {
			n, err := parquetRows(f.path)
			if err != nil {
				return nil, err
			}
			lines, most = lines+n, most+n
			continue
		}
		if size += info.Size(); size > countLimit {
			counted = false
			continue
		}
		n, err := countLines(ctx, f.path)
		if err != nil {
			return nil, err
		}
		lines += n
	}
	rows := &stage.Range{Max: float64(most + size/int64(leastRow))}
	if counted {
		rows.Max = float64(lines)
		if strict {
			rows.Min = rows.Max
		}
	}
	return rows, nil
}

// countLines counts the lines of a file that are not blank.
func countLines(ctx context.Context, path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var n int64
	buf := make([]byte, 256<<10)
	blank := true // so far, the line under way
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := f.Read(buf)
		for rest := buf[:k]; len(rest) > 0; {
			line, after, ended := bytes.Cut(rest, []byte("\n"))
			blank = blank && len(bytes.TrimSpace(line)) == 0
			if ended && !blank {
				n++
			}
			blank = blank || ended
			rest = after
		}
		if errors.Is(err, io.EOF) {
			if !blank {
				n++
			}
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
