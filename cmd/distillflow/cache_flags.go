package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://

	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/store"
)

// cacheFlags name the cache that machines share.
type cacheFlags struct{ url, mode string }

func (f *cacheFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.url, "cache", "", "share results and paid answers at this `URL`: s3://, gs://, azblob:// or file:// (default $DISTILLFLOW_CACHE)")
	c.Flags().StringVar(&f.mode, "cache-mode", "", "`read` takes from the cache, write also adds to it (default $DISTILLFLOW_CACHE_MODE, or write)")
}

// open gives the cache, nil if none is named or the folder of one to read is not there.
// run says that it may be added to.
func (f *cacheFlags) open(ctx context.Context, a app, run bool) (*remote.Cache, error) {
	f.url = cmp.Or(f.url, a.getenv("DISTILLFLOW_CACHE"))
	f.mode = cmp.Or(f.mode, a.getenv("DISTILLFLOW_CACHE_MODE"), string(remote.Write))
	mode := remote.Mode(f.mode)
	if mode != remote.Read && mode != remote.Write {
		return nil, usageError{fmt.Errorf("--cache-mode %q: want read or write", f.mode)}
	}
	if f.url == "" {
		return nil, nil
	}
	warn := func(message string) { fmt.Fprintf(a.notes(), "distillflow: warning: %s\n", message) }
	b, err := remote.Open(ctx, f.url, run && mode == remote.Write)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if mode == remote.Read {
			warn(err.Error() + ": going on without it")
		}
		return nil, nil
	case err != nil:
		return nil, usageError{fmt.Errorf("--cache: %w", err)}
	}
	if !run {
		mode = remote.Read
	}
	return remote.NewCache(b, mode, warn), nil
}

// worker gives the flags that a worker needs to share answers too.
func (f *cacheFlags) worker() []string {
	if f.url == "" {
		return nil
	}
	return []string{"--cache", f.url, "--cache-mode", f.mode}
}
