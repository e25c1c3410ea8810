package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// CacheDir is the folder, below that of an unpacked bundle, with the files that come
// from elsewhere. It is laid out as the cache was from which they were packed.
func CacheDir(dir string) string { return filepath.Join(dir, cacheDir) }

// remote lists the files that come from elsewhere, and packs those that are small or
// asked for.
func (c *creator) remote(ctx context.Context) error {
	seen := map[string]bool{}
	for _, n := range c.nodes {
		ext, err := n.Config.Externals(ctx)
		if err != nil {
			return fmt.Errorf("stage %s: %w", n.Name, err)
		}
		for _, e := range ext {
			if e.Remote.Cache == "" || seen[e.Path] {
				continue
			}
			seen[e.Path] = true
			if err := c.remoteFile(ctx, e); err != nil {
				return fmt.Errorf("stage %s: %w", n.Name, err)
			}
		}
	}
	slices.SortFunc(c.m.Remote, func(a, b RemoteFile) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

func (c *creator) remoteFile(ctx context.Context, e stage.External) error {
	rel, err := filepath.Rel(e.Remote.Cache, e.Path)
	if err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("%s is not in the cache %s", e.Path, e.Remote.Cache)
	}
	f := RemoteFile{Path: path.Join(cacheDir, filepath.ToSlash(rel)), URL: e.Remote.URL, Heavy: e.Remote.Heavy, Aside: e.Aside}
	f.Packed = c.opts.Inputs && (c.opts.Models || !f.Heavy)
	_, err = os.Stat(e.Path)
	switch there := err == nil; {
	case !there && e.Aside:
		return nil
	case !there && f.Packed:
		return fmt.Errorf("%s is not on this machine, so it cannot be packed: run the stage with --force once, or leave models out", f.URL)
	case !f.Packed && e.Remote.SHA256 != "": // hashing tens of gigabytes would tell the same
		f.Bytes, f.Digest = e.Remote.Bytes, store.Digest("sha256:"+e.Remote.SHA256)
	default:
		if f.Digest, f.Bytes, err = c.src.Store.HashFile(ctx, e.Path); err != nil {
			return fmt.Errorf("reading an input: %w", err)
		}
	}
	c.m.Remote = append(c.m.Remote, f)
	if f.Packed {
		c.add(copied(Entry{f.Path, f.Bytes, f.Digest}, func() (io.ReadCloser, error) { return os.Open(e.Path) }))
	}
	return nil
}

// borrow puts files that the bundle leaves out into its cache, from caches of this
// machine. What is not there, or is other content, is absent from then on: of the heavy
// ones a stage that must run tells, of the others this does.
func (r *replay) borrow() error {
	r.absent = map[string]RemoteFile{}
	var small []RemoteFile
	for _, f := range r.m.Remote {
		if f.Packed {
			continue
		}
		ok, err := r.lend(f)
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		r.absent[f.URL] = f
		if !f.Heavy && !f.Aside {
			small = append(small, f)
		}
	}
	if len(small) > 0 && !r.opts.Fetch {
		return fmt.Errorf("the bundle leaves out %s: %s", listRemote(small), howToFetch)
	}
	return nil
}

const howToFetch = "give --fetch to load it from there, or let HF_HOME name a cache that holds it"

// lend links a file of one of this machine's caches into the bundle's.
func (r *replay) lend(f RemoteFile) (bool, error) {
	rel := filepath.FromSlash(strings.TrimPrefix(f.Path, cacheDir+"/"))
	for _, cache := range r.opts.Caches {
		from, err := filepath.Abs(filepath.Join(cache, rel))
		if err != nil {
			return false, err
		}
		if info, err := os.Stat(from); err != nil || info.Size() != f.Bytes {
			continue
		}
		d, err := digestOf(from)
		if err != nil {
			return false, fmt.Errorf("reading an input: %w", err)
		}
		if d != f.Digest {
			continue
		}
		to := filepath.Join(r.dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return false, fmt.Errorf("replaying: %w", err)
		}
		if err := os.Symlink(from, to); err != nil {
			if err := os.Link(from, to); err != nil {
				return false, fmt.Errorf("replaying: %w", err)
			}
		}
		return true, nil
	}
	return false, nil
}

// fetched refuses to start a stage that would need a file that was left out. A stage
// that asks a model finds its answers in the bundle.
func (r *replay) fetched(ctx context.Context, n *graph.Node) error {
	if r.opts.Fetch || len(r.absent) == 0 || n.Type.Class == stage.Sampled {
		return nil
	}
	ext, err := n.Config.Externals(ctx)
	if err != nil {
		return err
	}
	var gone []RemoteFile
	for _, e := range ext {
		if f, ok := r.absent[e.Remote.URL]; ok && !e.Aside {
			gone = append(gone, f)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return permanent{fmt.Errorf("the bundle leaves out %s, which it reads: %s; `bundle create --models` packs it", listRemote(gone), howToFetch)}
}

// permanent is an error that another try cannot mend; see [exec.Permanent].
type permanent struct{ error }

// Permanent implements the interface of package exec.
func (permanent) Permanent() bool { return true }

// Unwrap gives the error itself.
func (p permanent) Unwrap() error { return p.error }

// listRemote names files with their sizes.
func listRemote(files []RemoteFile) string {
	var b strings.Builder
	for i, f := range files {
		if i == 3 {
			fmt.Fprintf(&b, " and %d more", len(files)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%.1f MB)", f.URL, float64(f.Bytes)/1e6)
	}
	return b.String()
}

// listed makes sure that a stage reads no file from elsewhere that the run did not.
func (r *replay) listed(e stage.External) error {
	if e.Aside || slices.ContainsFunc(r.m.Remote, func(f RemoteFile) bool { return f.URL == e.Remote.URL }) {
		return nil
	}
	return errors.New("it would read " + e.Remote.URL + ", which the bundle does not list")
}
