package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// TreeEntry is one thing in a folder artifact: a file, an empty folder, or a
// symbolic link that stays inside.
type TreeEntry struct {
	Path   string `json:"path"` // slash-separated, relative, no "..": sorted by bytes
	Exec   bool   `json:"exec,omitempty"`
	Dir    bool   `json:"dir,omitempty"`  // an empty folder
	Link   string `json:"link,omitempty"` // target of a symbolic link
	Size   int64  `json:"size,omitempty"`
	Digest Digest `json:"digest,omitempty"`
}

// treeManifest is the blob that a tree's digest names.
type treeManifest struct {
	Format  string      `json:"format"`
	Entries []TreeEntry `json:"entries"`
}

const treeFormat = "distillflow-tree/1"

// PutTree moves the files below dir into the store and returns the digest of
// the folder's manifest and the size of its files in bytes. Names, contents,
// executable bits, empty folders and inner symbolic links count; times, owners
// and other modes do not. The files are consumed as by PutFile.
func (s *Store) PutTree(dir string, dur Durability) (Digest, int64, error) {
	if err := s.prepare(); err != nil {
		return "", 0, err
	}
	entries, err := listTree(dir)
	if err != nil {
		return "", 0, fmt.Errorf("store: publish folder %s: %w", dir, err)
	}
	var total int64
	for i := range entries {
		e := &entries[i]
		if e.Dir || e.Link != "" {
			continue
		}
		e.Digest, e.Size, err = s.PutFile(filepath.Join(dir, filepath.FromSlash(e.Path)), dur)
		if err != nil {
			return "", 0, err
		}
		total += e.Size
	}
	b, err := encodeManifest(entries)
	if err != nil {
		return "", 0, err
	}
	d, _, err := s.PutBytes(b, dur)
	if err != nil {
		return "", 0, err
	}
	s.fault(FaultTreePublished)
	return d, total, nil
}

// encodeManifest gives the canonical bytes of a manifest: fixed field order,
// sorted entries, one entry a line.
func encodeManifest(entries []TreeEntry) ([]byte, error) {
	b := []byte(`{"format":"` + treeFormat + `","entries":[`)
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		line, err := marshalPlain(e)
		if err != nil {
			return nil, err
		}
		b = append(append(b, '\n'), line...)
	}
	return append(b, "\n]}\n"...), nil
}

func listTree(root string) ([]TreeEntry, error) {
	var entries []TreeEntry
	err := filepath.WalkDir(root, func(p string, de fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if name == "." {
			if !de.IsDir() {
				return errors.New("is not a folder")
			}
			return nil
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("the name %q is not UTF-8: rename the file", name)
		}
		switch t := de.Type(); {
		case de.IsDir():
			children, err := os.ReadDir(p)
			if err != nil {
				return err
			}
			if len(children) == 0 {
				entries = append(entries, TreeEntry{Path: name, Dir: true})
			}
		case t&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			target = filepath.ToSlash(target)
			if !linkInside(name, target) {
				return fmt.Errorf("the symbolic link %s points to %s, outside the folder: copy the file instead", name, target)
			}
			entries = append(entries, TreeEntry{Path: name, Link: target})
		case t.IsRegular():
			fi, err := de.Info()
			if err != nil {
				return err
			}
			entries = append(entries, TreeEntry{Path: name, Exec: fi.Mode()&0o100 != 0})
		default:
			return fmt.Errorf("%s is a %s: only files, folders and symbolic links can be kept", name, kindOf(t))
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b TreeEntry) int { return strings.Compare(a.Path, b.Path) })
	return entries, err
}

// linkInside reports whether a link at name with this target stays in the tree.
func linkInside(name, target string) bool {
	return target != "" && !path.IsAbs(target) && !strings.ContainsRune(target, 0) &&
		filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), target)))
}

// Tree returns the entries of the tree d, sorted by path. The slice is shared:
// do not change it.
func (s *Store) Tree(d Digest) ([]TreeEntry, error) {
	if err := s.checkBlob(d, -1); err != nil {
		s.manifests.Delete(d)
		return nil, err
	}
	if m, ok := s.manifests.Load(d); ok {
		return m.([]TreeEntry), nil
	}
	b, err := s.ReadBlob(d)
	if err != nil {
		return nil, err
	}
	entries, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("store: tree %s: %w", d, err)
	}
	s.manifests.Store(d, entries)
	return entries, nil
}

// parseManifest trusts nothing: a manifest may come from another machine, and
// its paths are about to be created.
func parseManifest(b []byte) ([]TreeEntry, error) {
	var m treeManifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if m.Format != treeFormat {
		return nil, fmt.Errorf("%w: format %q, want %q", ErrCorrupt, m.Format, treeFormat)
	}
	kinds := make(map[string]bool, len(m.Entries)) // path -> is a leaf
	last := ""
	for i, e := range m.Entries {
		if e.Path != path.Clean(e.Path) || e.Path == "." || !filepath.IsLocal(filepath.FromSlash(e.Path)) || strings.ContainsRune(e.Path, 0) {
			return nil, fmt.Errorf("%w: bad path %q", ErrCorrupt, e.Path)
		}
		if i > 0 && e.Path <= last {
			return nil, fmt.Errorf("%w: path %q out of order", ErrCorrupt, e.Path)
		}
		last = e.Path
		switch {
		case e.Dir && e.Link == "" && e.Digest == "":
		case e.Link != "" && !e.Dir && e.Digest == "" && linkInside(e.Path, e.Link):
		case e.Digest.Valid() && !e.Dir && e.Link == "" && e.Size >= 0:
		default:
			return nil, fmt.Errorf("%w: bad entry %q", ErrCorrupt, e.Path)
		}
		for p := path.Dir(e.Path); p != "."; p = path.Dir(p) {
			if kinds[p] {
				return nil, fmt.Errorf("%w: %q is below a file", ErrCorrupt, e.Path)
			}
			kinds[p] = false
		}
		if _, ok := kinds[e.Path]; ok {
			return nil, fmt.Errorf("%w: %q is both a folder and an entry", ErrCorrupt, e.Path)
		}
		kinds[e.Path] = true
	}
	return m.Entries, nil
}

// checkTree returns nil when the manifest and every file of the tree are sound.
func (s *Store) checkTree(d Digest) error { return s.checkTreeContent(d, s.opts.VerifyReads) }

func (s *Store) checkTreeContent(d Digest, hash bool) error {
	entries, err := s.Tree(d)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Digest == "" {
			continue
		}
		if err := s.checkContent(e.Digest, e.Size, hash); err != nil {
			return fmt.Errorf("file %s: %w", e.Path, err)
		}
	}
	return nil
}

// MaterializeTree returns a folder with the content of the tree d, making it
// where it is missing or damaged. Files are read-only hard links to their
// blobs, or copies where the file system has no links or a file is executable.
// Do not write below it.
func (s *Store) MaterializeTree(d Digest) (string, error) {
	return s.materialize(d, s.opts.VerifyReads)
}

// VerifiedTree is MaterializeTree for a reader that cannot tell damage from content; see
// VerifiedPath.
func (s *Store) VerifiedTree(d Digest) (string, error) { return s.materialize(d, true) }

func (s *Store) materialize(d Digest, hash bool) (string, error) {
	entries, err := s.Tree(d)
	if err != nil {
		return "", err
	}
	dst := s.path("trees", d.Hex())
	problem := s.checkMaterialized(dst, entries, hash)
	if problem == "" {
		return dst, nil
	}
	if err := s.prepare(); err != nil {
		return "", err
	}
	if err := s.checkTreeContent(d, hash); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(s.path("tmp"), "tree-")
	if err != nil {
		return "", s.writeErr(err)
	}
	defer removeAll(tmp)
	build := filepath.Join(tmp, "new")
	if err := s.fillTree(build, entries); err != nil {
		return "", err
	}
	s.fault(FaultTreeMaterial)
	for range 3 {
		if err = os.Rename(build, dst); err == nil {
			return dst, nil
		}
		// Something is there: another process was faster, or it is damaged.
		if problem = s.checkMaterialized(dst, entries, hash); problem == "" {
			return dst, nil
		}
		s.warn(dst, "%s; the folder is made again", problem)
		aside, mkErr := os.MkdirTemp(tmp, "old-")
		if mkErr != nil {
			return "", s.writeErr(mkErr)
		}
		if mvErr := os.Rename(dst, filepath.Join(aside, "tree")); mvErr != nil && !errors.Is(mvErr, fs.ErrNotExist) {
			return "", s.writeErr(mvErr)
		}
	}
	return "", s.writeErr(err)
}

func (s *Store) fillTree(root string, entries []TreeEntry) error {
	if err := os.Mkdir(root, 0o777); err != nil {
		return s.writeErr(err)
	}
	for _, e := range entries {
		p := filepath.Join(root, filepath.FromSlash(e.Path))
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			return s.writeErr(err)
		}
		var err error
		switch {
		case e.Dir:
			err = os.Mkdir(p, 0o777)
		case e.Link != "":
			err = os.Symlink(filepath.FromSlash(e.Link), p)
		default:
			err = s.placeBlob(e, p)
		}
		if err != nil {
			return s.writeErr(err)
		}
	}
	return nil
}

func (s *Store) placeBlob(e TreeEntry, p string) error {
	src := s.blobPath(e.Digest)
	if !e.Exec && os.Link(src, p) == nil {
		return nil
	}
	mode := fs.FileMode(0o444)
	if e.Exec {
		mode = 0o555
	}
	if err := copyFile(src, p, mode); err != nil {
		return err
	}
	_ = stamp(p, e.Digest, e.Size, s.now()) // as in adopt
	return nil
}

// checkMaterialized returns "" when the folder holds exactly the entries, each
// file with the stamp of its digest or, with hash, its content.
func (s *Store) checkMaterialized(root string, entries []TreeEntry, hash bool) string {
	if _, err := os.Lstat(root); err != nil {
		return "is missing"
	}
	have, err := listTree(root)
	if err != nil {
		return err.Error()
	}
	if len(have) != len(entries) {
		return fmt.Sprintf("holds %d entries, want %d", len(have), len(entries))
	}
	for i, e := range entries {
		h := have[i]
		if h.Path != e.Path || h.Dir != e.Dir || h.Link != e.Link || h.Exec != e.Exec {
			return fmt.Sprintf("holds %s where %s belongs", h.Path, e.Path)
		}
		if e.Digest == "" {
			continue
		}
		p := filepath.Join(root, filepath.FromSlash(e.Path))
		fi, err := os.Lstat(p)
		if err != nil {
			return err.Error()
		}
		if fi.Size() != e.Size {
			return e.Path + " was changed"
		}
		if stamped(fi, e.Digest) && !hash {
			continue
		}
		seen := verifiedFile{e.Digest, idOf(fi)}
		if _, ok := s.verified.Load(seen); ok {
			continue
		}
		if got, _, err := digestFile(p); err != nil || got != e.Digest {
			return e.Path + " was changed"
		}
		s.verified.Store(seen, true)
	}
	return ""
}
