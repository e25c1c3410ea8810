package view

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/internal/base/text"
)

// maxRows bounds the stages that have a row of their own at a time.
const maxRows = 8

// liveView keeps one row per running stage at the bottom of the terminal, below
// the lines of the story. The rows are the extension of a single mpb bar, which
// exists for the whole run: mpb owns the cursor, the view owns the state, and
// no bar has to be added or removed while mpb draws.
type liveView struct {
	opts     Options
	progress *mpb.Progress
	bar      *mpb.Bar
	filler   mpb.BarFiller

	// order keeps lines in the order of their events. It is held while mpb
	// writes; mu is not, because mpb asks for rows while it writes.
	order  sync.Mutex
	closed bool // under order
	err    error
	w      io.Writer

	mu    sync.Mutex
	story *story
	over  bool // under mu: the rows vanish
}

// Live shows a view that redraws itself on the terminal w.
func Live(w io.Writer, opts Options) View { return newLive(w, opts) }

func newLive(w io.Writer, opts Options, extra ...mpb.ContainerOption) *liveView {
	v := &liveView{opts: opts.withDefaults(), w: w, story: newStory(false)}
	v.filler = mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]").Build()
	v.progress = mpb.New(append([]mpb.ContainerOption{
		mpb.WithOutput(w), mpb.WithRefreshRate(v.opts.Refresh)}, extra...)...)
	// The bar's own row is the status line; the extension goes above it.
	v.bar = v.progress.MustAdd(0, nil,
		mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string {
			return runewidth.Truncate(v.status(v.opts.Now()), s.AvailableWidth, "…")
		})),
		mpb.BarExtender(mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
			rows := v.rows(v.opts.Now(), s.AvailableWidth)
			for i := len(rows) - 1; i >= 0; i-- { // mpb turns them round
				if _, err := io.WriteString(w, rows[i]+"\n"); err != nil {
					return err
				}
			}
			return nil
		}), true))
	return v
}

func (v *liveView) Event(e event.Event) {
	progress := e.Kind == event.StageProgress
	if progress { // frequent, and seldom with anything to print
		v.mu.Lock()
		v.story.add(e, v.opts.Now())
		quiet := len(v.story.lines) == 0
		v.mu.Unlock()
		if quiet {
			return
		}
	}
	v.order.Lock()
	defer v.order.Unlock()
	if v.closed {
		return
	}
	v.mu.Lock()
	if !progress {
		v.story.add(e, v.opts.Now())
	}
	lines := v.story.take()
	v.mu.Unlock()
	v.print(lines)
}

// print puts lines above the rows; the caller holds order. Where mpb has given
// up because the terminal is gone, they go to the writer itself.
func (v *liveView) print(lines []string) {
	if len(lines) == 0 || v.err != nil {
		return
	}
	all := strings.Join(lines, "\n") + "\n"
	if _, err := io.WriteString(v.progress, all); err != nil {
		_, v.err = io.WriteString(v.w, all)
	}
}

func (v *liveView) Close() error {
	v.order.Lock()
	defer v.order.Unlock()
	if !v.closed {
		v.closed = true
		v.mu.Lock()
		v.story.flush()
		lines := v.story.take()
		v.over = true
		v.mu.Unlock()
		v.print(lines)
		v.bar.Abort(true)
		v.progress.Wait()
	}
	if v.err != nil {
		return fmt.Errorf("writing progress: %w", v.err)
	}
	return nil
}

// status is the last row: how many stages met which fate, and the time.
func (v *liveView) status(now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.story
	if v.over || s.started.IsZero() {
		return ""
	}
	line := s.counts()
	if s.paused {
		line = "paused; " + line
	}
	if s.total > 0 {
		line += fmt.Sprintf(", of %d stages", s.total)
	}
	return line + "; " + duration(now.Sub(s.started))
}

// rows draws the running stages, each cut to the width.
func (v *liveView) rows(now time.Time, width int) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return nil
	}
	shown := v.story.order
	hidden := 0
	if len(shown) > maxRows {
		hidden = len(shown) - maxRows
		shown = shown[:maxRows]
	}
	nameWidth := 0
	for _, name := range shown {
		nameWidth = max(nameWidth, runewidth.StringWidth(v.story.running[name].name))
	}
	nameWidth = min(nameWidth, max(width/4, 8))
	var rows []string
	for _, name := range shown {
		rows = append(rows, v.row(v.story.running[name], now, nameWidth, width))
	}
	for _, name := range slices.Sorted(maps.Keys(v.story.waiting)) {
		if len(rows) < maxRows {
			rows = append(rows, runewidth.Truncate(text.OneLine(name)+"  waits: "+v.story.waiting[name], width, "…"))
		}
	}
	if hidden > 0 {
		rows = append(rows, runewidth.Truncate(fmt.Sprintf("and %d more running", hidden), width, "…"))
	}
	return rows
}

// wide is a terminal with room for the course of the loss.
const wide = 110

// barCells is the width of a progress bar with its bounds on a terminal of the
// given width; narrow ones have better use for the cells.
func barCells(width int) int {
	switch {
	case width >= wide:
		return 24
	case width >= 70:
		return 12
	}
	return 0
}

func (v *liveView) row(m *meter, now time.Time, nameWidth, width int) string {
	name := runewidth.FillRight(runewidth.Truncate(m.name, nameWidth, "…"), nameWidth)
	cells := barCells(width)
	bar := strings.Repeat(" ", cells)
	if m.total > 0 && cells > 0 {
		var b bytes.Buffer
		// Writing to a buffer cannot fail.
		_ = v.filler.Fill(&b, decor.Statistics{AvailableWidth: cells, RequestedWidth: cells,
			Total: m.total, Current: min(m.done, m.total)})
		bar = b.String()
	}
	course := ""
	if width >= wide {
		course = sparkline(m.losses)
	}
	line := joinNonEmpty("  ", name, bar, fmt.Sprintf("%6s", duration(now.Sub(m.started))), course, m.figures(now))
	return runewidth.Truncate(line, width, "…")
}
