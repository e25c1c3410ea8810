package exec

import (
	"context"
	"fmt"
	"os"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// outsideFile is the state of one file outside the store.
type outsideFile struct {
	stage.External
	info  os.FileInfo // nil for one that is still to be fetched
	state store.FileState
}

// changedError says that a result was made from other bytes than its key stands
// for, and so must not be published.
type changedError struct{ what string }

func (e *changedError) Error() string {
	return e.what + " while the stage ran, so its result was thrown away: run again once the file stays as it is"
}

// outside looks at the files outside the store that a node reads.
func outside(ctx context.Context, n *graph.Node) ([]outsideFile, error) {
	ext, err := n.Config.Externals(ctx)
	if err != nil || len(ext) == 0 {
		return nil, err
	}
	files := make([]outsideFile, 0, len(ext))
	for _, e := range ext {
		if e.Aside {
			continue
		}
		f := outsideFile{External: e}
		if !e.Absent() {
			if f.info, err = os.Stat(e.Path); err != nil {
				return nil, fmt.Errorf("reading an input: %w", err)
			}
			f.state = store.StateOf(f.info)
		}
		files = append(files, f)
	}
	return files, nil
}

// checkOutside makes sure that the files outside the store are what they were
// before their content went into the key: the key holds the content at one
// moment, the stage has read it at another. Equal states of the files rule out
// that one was changed and changed back; equal content rules out a change within
// one tick of the file system's clock.
func (s *scheduler) checkOutside(ctx context.Context, n *graph.Node, key string, before []outsideFile) error {
	after, err := outside(ctx, n)
	if err != nil {
		return &changedError{fmt.Sprintf("an input changed (%v)", err)}
	}
	if len(before) == 0 && len(after) == 0 {
		return nil
	}
	for i, f := range after {
		switch {
		case i >= len(before) || before[i].External != f.External:
			return &changedError{"the list of files to read changed at " + f.Path}
		case before[i].info == nil: // fetched by the stage; its content is compared below
		case f.info == nil || !os.SameFile(before[i].info, f.info) || before[i].state != f.state:
			return &changedError{f.Path + " changed"}
		}
	}
	if len(after) < len(before) {
		return &changedError{before[len(after)].Path + " went away"}
	}
	pre, err := plan.NodePreimage(ctx, n, s.opts.Seed, s.digest, s.store)
	if err != nil {
		return err
	}
	now, _, err := pre.Key()
	if err == nil && now != key {
		err = &changedError{"the content of an input changed"}
	}
	return err
}
