package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// File is one file of a commit.
type File struct {
	Path   string `json:"path"` // with slashes, below the repository
	Size   int64  `json:"size"`
	Blob   string `json:"blob"`             // git's SHA-1 of the content, 40 hex digits
	SHA256 string `json:"sha256,omitempty"` // of the content; large files have it
}

// checksum is the name of the file's blob in the cache.
func (f File) checksum() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return f.Blob
}

// Snapshot is a repository at one commit.
type Snapshot struct {
	Ref    Ref    // as asked for, with the path and split it was asked with
	Commit string // 40 hex digits
	Files  []File // of the whole repository, sorted by path

	client *Client
	// complete says that Files is the Hub's list and not what is in the cache.
	complete bool
}

// maxFiles bounds the list of one repository.
const maxFiles = 200_000

// Dir is the snapshot's folder in the cache; it holds the files that were fetched.
func (s *Snapshot) Dir() string {
	return filepath.Join(s.client.cache, s.Ref.folder(), "snapshots", s.Commit)
}

// Resolved is the repository at its commit, without path and split.
func (s *Snapshot) Resolved() Ref { return s.Ref.repo().At(s.Commit) }

// Exact is the reference as asked for, at the commit: it may stand wherever the
// first one did, and means the same for ever.
func (s *Snapshot) Exact() Ref { return s.Ref.At(s.Commit) }

// Place is where a file of the repository lies in the cache once it was fetched.
func (s *Snapshot) Place(name string) string {
	return filepath.Join(s.Dir(), filepath.FromSlash(name))
}

// Cache is the folder in which all repositories are kept.
func (s *Snapshot) Cache() string { return s.client.cache }

// ListFile is the file that keeps the list of the commit's files. With it, and
// without the Hub, it is known which files there are and what their checksums are.
// It is not there where another program filled the cache.
func (s *Snapshot) ListFile() string { return s.client.treeFile(s.Ref, s.Commit) }

// Bookkeeping lists the files of the cache that say what there is: the list of the
// commit's files and, unless the reference names the commit, the one that says which it
// is. With them and the files themselves a copy of the cache answers like the whole.
func (s *Snapshot) Bookkeeping() ([]string, error) {
	files := []string{s.ListFile()}
	if commitID.MatchString(s.Ref.revision()) {
		return files, nil
	}
	ref, err := s.client.refFile(s.Ref)
	return append(files, ref), err
}

// URL names a file of the repository at its commit, as [Parse] reads it.
func (s *Snapshot) URL(name string) string {
	r := s.Resolved()
	r.Path = name
	return r.String()
}

// Find returns the file called name.
func (s *Snapshot) Find(name string) (File, bool) {
	i, ok := slices.BinarySearchFunc(s.Files, name, func(f File, n string) int { return strings.Compare(f.Path, n) })
	if !ok {
		return File{}, false
	}
	return s.Files[i], true
}

// Resolve asks which commit a reference stands for and lists its files. Where the
// Hub cannot be reached the commit it stood for the last time is taken from the
// cache. An exact commit that was listed before needs no network.
func (c *Client) Resolve(ctx context.Context, r Ref) (*Snapshot, error) {
	if c.offline || commitID.MatchString(r.revision()) {
		s, err := c.Cached(r)
		if err == nil && (c.offline || s.complete) {
			return s, nil
		}
		if c.offline {
			return nil, err
		}
	}
	s, err := c.ask(ctx, r)
	if errors.Is(err, ErrOffline) && ctx.Err() == nil {
		if cached, cacheErr := c.Cached(r); cacheErr == nil {
			return cached, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return s, c.remember(s)
}

// Latest asks the Hub which commit a revision stands for now. Nothing is kept: what
// [Client.Cached] gives stays as it is.
func (c *Client) Latest(ctx context.Context, r Ref) (commit string, err error) {
	if c.offline {
		return "", fmt.Errorf("%s: %w: HF_HUB_OFFLINE is set", r.repo(), ErrOffline)
	}
	var info struct {
		SHA string `json:"sha"`
	}
	at := url.PathEscape(r.revision())
	if _, err := c.get(ctx, r, c.endpoint+r.api()+"/revision/"+at, &info); err != nil {
		return "", c.unreachable(r, err)
	}
	if !commitID.MatchString(info.SHA) {
		return "", fmt.Errorf("%s: the Hub gave %q where a commit belongs (is HF_ENDPOINT right?)", r.repo(), oneLine(info.SHA))
	}
	return info.SHA, nil
}

func (c *Client) ask(ctx context.Context, r Ref) (*Snapshot, error) {
	commit, err := c.Latest(ctx, r)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Ref: r, Commit: commit, client: c, complete: true}
	if cached, err := c.listed(r, commit); err == nil {
		s.Files = cached
		return s, nil
	}
	next := c.endpoint + r.api() + "/tree/" + commit + "?recursive=true"
	for pages := 0; next != ""; pages++ {
		var list treePage
		var err error
		if next, err = c.get(ctx, r, next, &list); err != nil {
			return nil, c.unreachable(r, err)
		}
		for _, e := range list {
			if e.Type != "file" {
				continue
			}
			f := File{Path: e.Path, Size: e.Size, Blob: e.OID}
			if e.LFS != nil {
				f.SHA256, f.Size = strings.TrimPrefix(e.LFS.OID, "sha256:"), e.LFS.Size
			}
			s.Files = append(s.Files, f)
		}
		if len(s.Files) > maxFiles || pages > maxFiles/1000 {
			return nil, fmt.Errorf("%s: more than %d files", r.repo(), maxFiles)
		}
	}
	if err := checkFiles(s.Files); err != nil {
		return nil, fmt.Errorf("%s: %w", r.repo(), err)
	}
	return s, nil
}

// treePage is a page of the Hub's list of a commit's files.
type treePage []treeEntry

type treeEntry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It stops at a page of more files than a
// repository may have: entries of two bytes would take a hundred each.
func (p *treePage) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New("must be a list of files"), err)
	}
	for d.More() {
		if len(*p) > maxFiles {
			return fmt.Errorf("a page of more than %d files", maxFiles)
		}
		var e treeEntry
		if err := d.Decode(&e); err != nil {
			return err
		}
		*p = append(*p, e)
	}
	return nil
}

// checkFiles sorts a list and refuses names and checksums that could lead out of
// the cache.
func checkFiles(files []File) error {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	names := make(map[string]bool, len(files))
	for _, f := range files {
		names[f.Path] = true
	}
	for i, f := range files {
		for dir := path.Dir(f.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if names[dir] {
				return fmt.Errorf("%s: listed by the Hub as a file and as the folder of %q", dir, f.Path)
			}
		}
		switch {
		case !filepath.IsLocal(filepath.FromSlash(f.Path)) || path.Clean(f.Path) != f.Path || f.Path == "." || strings.ContainsAny(f.Path, "\\\x00"):
			return fmt.Errorf("the file name %q in the Hub's list is not allowed", f.Path)
		case !isHex(f.Blob, 40) || f.SHA256 != "" && !isHex(f.SHA256, 64) || f.Size < 0:
			return fmt.Errorf("%s: the Hub's list gives no proper checksum and size", f.Path)
		case i > 0 && f.Path == files[i-1].Path:
			return fmt.Errorf("%s: listed twice by the Hub", f.Path)
		}
	}
	return nil
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

func (c *Client) treeFile(r Ref, commit string) string {
	return filepath.Join(c.cache, r.folder(), "distillflow-trees", commit+".json")
}

func (c *Client) refFile(r Ref) (string, error) {
	rev := filepath.FromSlash(r.revision())
	if !filepath.IsLocal(rev) {
		return "", fmt.Errorf("%s: the revision %q is not allowed", r.repo(), r.revision())
	}
	return filepath.Join(c.cache, r.folder(), "refs", rev), nil
}

// remember writes what a revision stands for, and the list of its files.
func (c *Client) remember(s *Snapshot) error {
	if !commitID.MatchString(s.Ref.revision()) {
		name, err := c.refFile(s.Ref)
		if err != nil {
			return err
		}
		if old, err := os.ReadFile(name); err != nil || string(old) != s.Commit {
			if err := writeCache(name, []byte(s.Commit)); err != nil {
				return err
			}
		}
	}
	name := c.treeFile(s.Ref, s.Commit)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	list, err := json.Marshal(s.Files)
	if err != nil {
		return err
	}
	return writeCache(name, list)
}

// writeCache writes a small file of the cache so that no reader sees half of it.
func writeCache(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("the cache of the Hub: %w; set HF_HOME to a folder that can be written", err)
	}
	if err := atomicfile.WriteBytes(name, 0o644, atomicfile.Relaxed, data); err != nil {
		return fmt.Errorf("the cache of the Hub: %w; set HF_HOME to a folder that can be written", err)
	}
	return nil
}

func (c *Client) listed(r Ref, commit string) ([]File, error) {
	b, err := os.ReadFile(c.treeFile(r, commit))
	if err != nil {
		return nil, err
	}
	var files []File
	if err := json.Unmarshal(b, &files); err != nil {
		return nil, err
	}
	return files, checkFiles(files)
}

// Cached resolves a reference from the cache alone. Where the list of a commit's
// files was never asked for, because another program filled the cache, the files
// that are there stand for it.
func (c *Client) Cached(r Ref) (*Snapshot, error) {
	commit := r.revision()
	if !commitID.MatchString(commit) {
		name, err := c.refFile(r)
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, c.absent(r, "")
		}
		if commit = strings.TrimSpace(string(b)); !commitID.MatchString(commit) {
			return nil, fmt.Errorf("%s holds no commit: remove it", name)
		}
	}
	s := &Snapshot{Ref: r, Commit: commit, client: c}
	if files, err := c.listed(r, commit); err == nil {
		s.Files, s.complete = files, true
		return s, nil
	}
	root := s.Dir()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		info, err := os.Stat(p)
		if err != nil {
			return nil //nolint:nilerr // a link to a blob that is not there is not a file
		}
		s.Files = append(s.Files, File{Path: filepath.ToSlash(rel), Size: info.Size()})
		return nil
	})
	if err != nil || len(s.Files) == 0 {
		return nil, c.absent(r, "")
	}
	slices.SortFunc(s.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return s, nil
}

// absent says that something is not in the cache.
func (c *Client) absent(r Ref, file string) error {
	what := r.repo().String()
	if file != "" {
		what += "/" + file
	}
	why := "and the Hub was not asked"
	if c.offline {
		why = "and HF_HUB_OFFLINE forbids to ask the Hub: unset it, or copy the repository's folder from another machine's cache"
	}
	return fmt.Errorf("%s: %w: it is not in %s, %s", what, ErrOffline, c.cache, why)
}
