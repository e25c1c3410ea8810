package hub

import (
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

func (c *Client) ask(ctx context.Context, r Ref) (*Snapshot, error) {
	var info struct {
		SHA string `json:"sha"`
	}
	at := url.PathEscape(r.revision())
	if _, err := c.get(ctx, r, c.endpoint+r.api()+"/revision/"+at, &info); err != nil {
		return nil, wrapRef(r, err)
	}
	if !commitID.MatchString(info.SHA) {
		return nil, fmt.Errorf("%s: the Hub gave %q where a commit belongs (is HF_ENDPOINT right?)", r.repo(), oneLine(info.SHA))
	}
	s := &Snapshot{Ref: r, Commit: info.SHA, client: c, complete: true}
	if cached, err := c.listed(r, info.SHA); err == nil {
		s.Files = cached
		return s, nil
	}
	next := c.endpoint + r.api() + "/tree/" + info.SHA + "?recursive=true"
	for pages := 0; next != ""; pages++ {
		var list []struct {
			Type string `json:"type"`
			Path string `json:"path"`
			OID  string `json:"oid"`
			Size int64  `json:"size"`
			LFS  *struct {
				OID  string `json:"oid"`
				Size int64  `json:"size"`
			} `json:"lfs"`
		}
		var err error
		if next, err = c.get(ctx, r, next, &list); err != nil {
			return nil, wrapRef(r, err)
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

func wrapRef(r Ref, err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err // names it already
	}
	return fmt.Errorf("%s: %w", r.repo(), err)
}

// checkFiles sorts a list and refuses names and checksums that could lead out of
// the cache.
func checkFiles(files []File) error {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i, f := range files {
		switch {
		case !filepath.IsLocal(filepath.FromSlash(f.Path)) || path.Clean(f.Path) != f.Path || strings.ContainsAny(f.Path, "\\\x00"):
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
			if err := writeWhole(name, []byte(s.Commit)); err != nil {
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
	return writeWhole(name, list)
}

// writeWhole writes a small file so that no reader sees half of it.
func writeWhole(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("the cache of the Hub: %w; set HF_HOME to a folder that can be written", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".*.tmp")
	if err != nil {
		return fmt.Errorf("the cache of the Hub: %w; set HF_HOME to a folder that can be written", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the cache of the Hub: %w", err), os.Remove(f.Name()))
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
			return nil //nolint:nilerr // a link to a blob that is not there is no file
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
