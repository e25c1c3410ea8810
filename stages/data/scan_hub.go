package data

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

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

// listExternal is [listFiles] for Externals, which gets no context: a download that
// takes long must end when the user interrupts the program all the same.
func listExternal(root string, includeTrain bool) ([]file, error) {
	ctx := context.Background()
	if _, ok := hubRoot(root); ok {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
	}
	return listFiles(ctx, root, includeTrain)
}

// hubFiles brings the files of a data set's split to the disk. Errors are
// [stage.FieldError]s on root.
func hubFiles(ctx context.Context, root string) ([]file, error) {
	s, err := hubOpen(ctx, root, false)
	if err != nil {
		return nil, stage.Invalid("root", "%v", err)
	}
	list, err := s.DataFiles(ctx)
	if err != nil {
		return nil, stage.Invalid("root", "%v", err)
	}
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Path
	}
	paths, err := s.Fetch(ctx, names...)
	if err != nil {
		return nil, stage.Invalid("root", "%v", err)
	}
	files := make([]file, len(list))
	for i, f := range list {
		files[i] = file{name: f.Path, path: paths[i], remote: stage.Remote{URL: s.URL(f.Path), Cache: s.Cache(), SHA256: f.SHA256, Bytes: f.Size}}
	}
	return files, nil
}

// hubAside lists what says which files of a data set are read: the books of the cache
// and the card. Without them a copy of the cache would not tell.
func hubAside(root string) ([]stage.External, error) {
	ref, ok := hubRoot(root)
	if !ok {
		return nil, nil
	}
	s, err := hubOpen(context.Background(), ref, true)
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
func hubRevisions(root string) ([]stage.Revision, error) {
	ref, ok := hubRoot(root)
	if !ok {
		return nil, nil
	}
	s, err := hubOpen(context.Background(), ref, true)
	if err != nil {
		return nil, err
	}
	if s.Ref.Revision == s.Commit {
		return nil, nil // exact in itself
	}
	return []stage.Revision{{Name: ref, Resolved: s.Exact().String()}}, nil
}

// Revisions implements [stage.Revisions].
func (c scanConfig) Revisions() ([]stage.Revision, error) { return hubRevisions(string(c.Root)) }

// Revisions implements [stage.Revisions].
func (c importConfig) Revisions() ([]stage.Revision, error) { return hubRevisions(string(c.Root)) }
