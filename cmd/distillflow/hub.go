package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

const (
	// loudDownload is the size in bytes from which a download is told of.
	loudDownload = 1 << 20
	// downloadEvery is the time between two lines about one download.
	downloadEvery = 5 * time.Second
	// movedTimeout bounds the question whether the Hub has moved on: it is asked for
	// the user's information only.
	movedTimeout = 5 * time.Second
)

// showDownloads writes a line about every large file that begins to arrive from the
// Hub, and others as long as that takes. Call end before anything else owns the
// terminal.
func (a app) showDownloads() (end func()) {
	var mu sync.Mutex
	told := map[string]time.Time{} // by file, when a line was written
	hub.Observe(func(p hub.Progress) {
		if p.Total < loudDownload {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		at := p.Ref
		at.Path = p.File
		name := at.String()
		last, begun := told[name]
		switch {
		case begun && p.Done < p.Total && time.Since(last) < downloadEvery:
			return
		case !begun:
			fmt.Fprintf(a.err, "fetching %s: %s\n", name, text.Size(p.Total))
		case p.Done < p.Total:
			fmt.Fprintf(a.err, "fetching %s: %s of %s\n", name, text.Size(p.Done), text.Size(p.Total))
		default:
			fmt.Fprintf(a.err, "fetched %s\n", name)
		}
		told[name] = time.Now()
	})
	return func() { hub.Observe(nil) }
}

// sayMoved tells which of a lock's names mean something newer on the Hub. Names that
// cannot be asked about, for want of a network, are passed over: the lock is followed
// in any case.
func (a app) sayMoved(ctx context.Context, pins map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, movedTimeout)
	defer cancel()
	c, err := hub.New(hub.FromEnv(a.getenv))
	if err != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		locked, err := hub.Parse(pins[name], hub.Model)
		if err != nil {
			continue // no name of the Hub
		}
		asked, err := hub.Parse(name, locked.Kind)
		if err != nil {
			continue
		}
		if now, err := c.Latest(ctx, asked); err == nil && now != locked.Revision {
			fmt.Fprintf(a.err, "distillflow: %s is at %.12s on the Hub now; the lock keeps it at %.12s (run --lock takes the newer one)\n", name, now, locked.Revision)
		}
	}
}
