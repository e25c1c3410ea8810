package data

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

// hubRoot gives a root that means a data set on the Hugging Face Hub. A path that a
// folder was put in front of is recognised too: joining makes one slash of two.
func hubRoot(root string) (string, bool) {
	if hub.IsRef(root) {
		return root, true
	}
	const joined = "hf:/"
	slashed := strings.ReplaceAll(root, `\`, "/")
	if rest, ok := strings.CutPrefix(slashed, joined); ok {
		return hub.Scheme + rest, true
	}
	if _, rest, ok := strings.Cut(slashed, "/"+joined); ok {
		return hub.Scheme + rest, true
	}
	return "", false
}

// validRoot says what is wrong with a reference to the Hub.
func validRoot(root string) error {
	if ref, ok := hubRoot(root); ok {
		if _, err := hub.Parse(ref, hub.Dataset); err != nil {
			return stage.Invalid("root", "%v", err)
		}
	}
	return nil
}

// hubOpen resolves a reference as HF_ENDPOINT, HF_HOME and the rest say. cached
// forbids to ask what was resolved before.
func hubOpen(ctx context.Context, root string, cached bool) (*hub.Snapshot, error) {
	ref, err := hub.Parse(root, hub.Dataset)
	if err != nil {
		return nil, err
	}
	c, err := hub.New(hub.FromEnv(os.Getenv))
	if err != nil {
		return nil, err
	}
	if cached {
		return c.Cached(ref)
	}
	return c.ResolveOnce(ctx, ref)
}

// rootError places an error of the Hub on root, if another root would mend it.
func rootError(err error) error {
	if hub.IsOutage(err) {
		return fmt.Errorf("root: %w", err)
	}
	return stage.Invalid("root", "%v", err)
}

// hubFiles brings the files of a data set's split to the disk.
func hubFiles(ctx context.Context, root string) ([]file, error) {
	s, err := hubOpen(ctx, root, false)
	if err != nil {
		return nil, rootError(err)
	}
	list, err := s.DataFiles(ctx)
	if err != nil {
		return nil, rootError(err)
	}
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Path
	}
	paths, err := s.Fetch(ctx, names...)
	if err != nil {
		return nil, rootError(err)
	}
	files := make([]file, len(list))
	for i, f := range list {
		files[i] = file{name: f.Path, path: paths[i], remote: stage.Remote{URL: s.URL(f.Path), Cache: s.Cache(), SHA256: f.SHA256, Bytes: f.Size}}
	}
	return files, nil
}

// hubAside lists what says which files of a data set are read: the books of the cache
// and the card. Without them a copy of the cache would not tell.
func hubAside(ctx context.Context, root string) ([]stage.External, error) {
	ref, ok := hubRoot(root)
	if !ok {
		return nil, nil
	}
	s, err := hubOpen(ctx, ref, true)
	if err != nil {
		return nil, stage.Invalid("root", "%v", err)
	}
	asides, err := s.Bookkeeping()
	if err != nil {
		return nil, stage.Invalid("root", "%v", err)
	}
	var out []stage.External
	for _, at := range asides {
		out = append(out, stage.External{Path: at, Aside: true, Remote: stage.Remote{URL: s.Resolved().String(), Cache: s.Cache()}})
	}
	if _, ok := s.Find(hub.CardName); ok {
		out = append(out, stage.External{Path: s.Place(hub.CardName), Aside: true, Remote: stage.Remote{URL: s.URL(hub.CardName), Cache: s.Cache()}})
	}
	return out, nil
}

// hubRevisions is the commit that a root on the Hub stood for when it was last
// asked for.
func hubRevisions(ctx context.Context, root string) ([]stage.Revision, error) {
	ref, ok := hubRoot(root)
	if !ok {
		return nil, nil
	}
	s, err := hubOpen(ctx, ref, true)
	if err != nil {
		return nil, err
	}
	if s.Ref.Revision == s.Commit {
		return nil, nil // exact in itself
	}
	return []stage.Revision{{Name: ref, Resolved: s.Exact().String()}}, nil
}

// Networked implements [stage.Networked].
func (c scanConfig) Networked() bool { return onHub(c.Root) }

// Networked implements [stage.Networked].
func (c importConfig) Networked() bool { return onHub(c.Root) }

func onHub(root stage.Path) bool {
	_, ok := hubRoot(string(root))
	return ok
}

// Revisions implements [stage.Revisions].
func (c scanConfig) Revisions(ctx context.Context) ([]stage.Revision, error) {
	return hubRevisions(ctx, string(c.Root))
}

// Revisions implements [stage.Revisions].
func (c importConfig) Revisions(ctx context.Context) ([]stage.Revision, error) {
	return hubRevisions(ctx, string(c.Root))
}
