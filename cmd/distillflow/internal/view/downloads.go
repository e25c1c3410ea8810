package view

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

const (
	// loudDownload is the size in bytes from which a download is shown.
	loudDownload = 1 << 20
	// downloadEvery is the time between two lines about one download.
	downloadEvery = 5 * time.Second
)

// Downloads writes a line about every large file that begins to arrive from the Hub, or
// to be sent there, and others as long as that takes. Call end before anything else owns the terminal.
func Downloads(w io.Writer) (end func()) {
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
		doing, done := "fetching", "fetched"
		if p.Sending {
			doing, done = "sending", "sent"
		}
		switch {
		case begun && p.Done < p.Total && time.Since(last) < downloadEvery:
			return
		case !begun:
			fmt.Fprintf(w, "%s %s: %s\n", doing, name, text.Size(p.Total))
		case p.Done < p.Total:
			fmt.Fprintf(w, "%s %s: %s of %s\n", doing, name, text.Size(p.Done), text.Size(p.Total))
		default:
			fmt.Fprintf(w, "%s %s\n", done, name)
		}
		told[name] = time.Now()
	})
	return func() { hub.Observe(nil) }
}
